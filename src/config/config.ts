import { availableParallelism } from 'node:os'
import type { TokenAlgorithm } from '../keys/signing-keys.ts'
import { type Budgets, budgets, type LimitName, parseBudget } from '../limits/budgets.ts'
import {
  heloName,
  isHeloName,
  type MailAddress,
  parseMailFrom,
  parseSmtpUrl,
  type SmtpServer,
} from '../mail/settings.ts'
import { type HashCost, recommendedCost } from '../passwords/hashes.ts'
import type { JwksIssuer } from '../tokens/foreign-token.ts'
import { secretWeakness } from '../tokens/secret.ts'
import { ConfigError, parseEnvironment, type Variables } from './environment.ts'
import { readTrustedIssuers } from './trusted-issuers.ts'
import { list, proxyFaults, urlFaults } from './urls.ts'

/** The configuration of the process; frozen, made once by {@link loadConfig}. */
export interface Config {
  readonly mode: 'development' | 'production' | 'test'
  readonly host: string
  readonly port: number
  /** Without a trailing slash. The `iss` of every token issued here. */
  readonly publicUrl: string
  readonly database:
    | { readonly kind: 'embedded'; readonly dataDir: string }
    | {
        readonly kind: 'postgres'
        readonly url: string
        /** For migrations; undefined: `url`. */
        readonly migrateUrl?: string
        readonly poolSize: number
        readonly prepare: boolean
      }
  readonly dataDir: string
  readonly migrateOnStart: boolean
  readonly secretKey: string
  readonly previousSecretKey: string | undefined
  readonly algorithm: TokenAlgorithm
  /** Age at which a signing key is rotated; 0 never rotates. */
  readonly keyRotationDays: number
  readonly audience: string
  /** Trusted besides this service itself and those that share its secret. */
  readonly trustedIssuers: readonly JwksIssuer[]
  /** Longest lifetime, `iat` to `exp`, accepted of a foreign token. */
  readonly foreignTokenSeconds: number
  readonly accessTokenSeconds: number
  readonly sessions: { readonly idleDays: number; readonly absoluteDays: number }
  /** Longest life of an API key. */
  readonly maxKeyDays: number
  readonly revocationPollSeconds: number
  readonly maxTasksPerUser: number
  readonly hashing: {
    readonly concurrency: number
    readonly queue: number
    /** Not a variable: no misconfiguration can weaken password hashes. */
    readonly cost: HashCost
  }
  readonly passwordBlocklist: boolean
  readonly budgets: Budgets
  /** False when a gateway limits requests by address. The limits on wrong passwords always apply. */
  readonly addressLimits: boolean
  /** Shared counters; undefined: each instance counts in memory. */
  readonly redisUrl: string | undefined
  /** Whether /docs is served; the contract is served in any case. */
  readonly docs: boolean
  /** CIDRs and names of proxy-addr; false ignores every forwarding header. */
  readonly trustProxy: readonly string[] | false
  readonly keepAliveSeconds: number
  /** The value of Strict-Transport-Security; undefined: not sent. */
  readonly hsts: string | undefined
  readonly corsOrigins: readonly string[]
  /** Milliseconds above which requests are answered 503; 0 turns that off. */
  readonly maxEventLoopDelay: number
  readonly mail: MailConfig
  readonly logLevel: string
}

export interface MailConfig {
  /** Undefined without SMTP_URL: development keeps mails in its mailbox, production sends none. */
  readonly smtp: SmtpServer | undefined
  /** The name in EHLO; undefined where no variable has a host name. */
  readonly helo: string | undefined
  readonly from: MailAddress
  /** Base URL of the frontend, and so of every link in a mail; without a trailing slash. */
  readonly appUrl: string
  readonly verificationRequired: boolean
  readonly verificationHours: number
  readonly resetMinutes: number
  /** Age at which an unverified account is deleted; 0 is never. */
  readonly unverifiedDays: number
}

/**
 * Reads the configuration from environment variables.
 * @param generateSecret called in development when SECRET_KEY is unset, with DATA_DIR
 * @throws ConfigError
 */
export function loadConfig(
  env: Readonly<Record<string, string | undefined>>,
  generateSecret: (dataDir: string) => string,
): Config {
  const variables = parseEnvironment(env)
  const production = variables.NODE_ENV === 'production'
  const faults = production ? missing(variables, ['DATABASE_URL', 'SECRET_KEY', 'PUBLIC_URL']) : []
  if (production) faults.push(...missingForMail(variables))
  for (const name of ['SECRET_KEY', 'SECRET_KEY_PREVIOUS'] as const) {
    const weakness = variables[name] === undefined ? undefined : secretWeakness(variables[name])
    if (weakness) faults.push(`${name} ${weakness}`)
  }
  const publicUrl = (variables.PUBLIC_URL ?? `http://127.0.0.1:${variables.PORT}`).replace(/\/+$/, '')
  const trusted = readTrustedIssuers(variables, publicUrl)
  faults.push(...urlFaults(variables), ...proxyFaults(variables), ...mailFaults(variables), ...trusted.faults)
  if (faults.length > 0) throw new ConfigError(faults.join('\n'))

  return deepFreeze({
    mode: variables.NODE_ENV,
    host: variables.HOST ?? (production ? '0.0.0.0' : '127.0.0.1'),
    port: variables.PORT,
    publicUrl,
    database: variables.DATABASE_URL
      ? {
          kind: 'postgres',
          url: variables.DATABASE_URL,
          ...(variables.MIGRATE_DATABASE_URL ? { migrateUrl: variables.MIGRATE_DATABASE_URL } : {}),
          poolSize: variables.DATABASE_POOL_SIZE,
          prepare: variables.DATABASE_PREPARE,
        }
      : { kind: 'embedded', dataDir: variables.DATA_DIR },
    dataDir: variables.DATA_DIR,
    migrateOnStart: variables.MIGRATE_ON_START,
    secretKey: variables.SECRET_KEY ?? generated(generateSecret, variables.DATA_DIR),
    previousSecretKey: variables.SECRET_KEY_PREVIOUS,
    algorithm: variables.ALGORITHM,
    keyRotationDays: variables.KEY_ROTATION_DAYS,
    audience: variables.AUDIENCE ?? publicUrl,
    trustedIssuers: trusted.issuers,
    foreignTokenSeconds: variables.TRUSTED_TOKEN_MAX_DAYS * 86_400,
    accessTokenSeconds: variables.ACCESS_TOKEN_EXPIRE_MINUTES * 60,
    sessions: { idleDays: variables.SESSION_IDLE_DAYS, absoluteDays: variables.SESSION_ABSOLUTE_DAYS },
    maxKeyDays: variables.API_KEY_MAX_DAYS,
    revocationPollSeconds: variables.REVOCATION_POLL_SECONDS,
    maxTasksPerUser: variables.MAX_TASKS_PER_USER,
    hashing: {
      concurrency:
        variables.HASH_CONCURRENCY ?? hashesAtOnce(availableParallelism(), env['UV_THREADPOOL_SIZE']),
      queue: variables.HASH_QUEUE,
      cost: recommendedCost,
    },
    passwordBlocklist: (variables.PASSWORD_BLOCKLIST ?? (production ? 'on' : 'off')) === 'on',
    budgets: budgetsOf(variables),
    addressLimits: variables.RATE_LIMITS === 'on',
    redisUrl: variables.REDIS_URL,
    docs: variables.DOCS === 'on',
    trustProxy: variables.TRUST_PROXY ? list(variables.TRUST_PROXY) : false,
    keepAliveSeconds: variables.KEEP_ALIVE_SECONDS,
    hsts: variables.HSTS === 'off' ? undefined : variables.HSTS.replace(/^(?=\d)/, 'max-age='),
    corsOrigins: list(variables.CORS_ORIGINS ?? ''),
    maxEventLoopDelay: variables.MAX_EVENT_LOOP_DELAY_MS,
    mail: mailConfig(variables, publicUrl),
    logLevel: variables.LOG_LEVEL,
  })
}

/** @throws ConfigError when the folder is not writable */
function generated(generateSecret: (dataDir: string) => string, dataDir: string): string {
  try {
    return generateSecret(dataDir)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    throw new ConfigError(`DATA_DIR must be a folder that this process can write to (${code})`)
  }
}

/** Size of libuv's thread pool, which computes hashes, resolves names and reads files, without UV_THREADPOOL_SIZE. */
const nodeThreads = 4

/** Leaves one core to everything else and one thread to DNS and files. */
export function hashesAtOnce(cores: number, threads: string | undefined): number {
  return Math.max(1, Math.min(cores - 1, (Number(threads) || nodeThreads) - 1))
}

function budgetsOf(variables: Variables): Budgets {
  const read = (name: LimitName) => {
    const variable = `RATE_LIMIT_${name.toUpperCase()}` as `RATE_LIMIT_${Uppercase<LimitName>}`
    return [name, parseBudget(variables[variable])]
  }
  return Object.fromEntries((Object.keys(budgets) as LimitName[]).map(read)) as Budgets
}

function missing(variables: Variables, names: (keyof Variables)[]): string[] {
  return names
    .filter((name) => variables[name] === undefined)
    .map((name) => `${name} must be set when NODE_ENV=production`)
}

function missingForMail(variables: Variables): string[] {
  if (variables.SMTP_URL !== undefined) {
    return (['APP_URL', 'MAIL_FROM'] as const)
      .filter((name) => variables[name] === undefined)
      .map((name) => `${name} must be set when SMTP_URL is`)
  }
  // Otherwise nobody could ever log in.
  return variables.REQUIRE_EMAIL_VERIFICATION
    ? ['SMTP_URL must be set when REQUIRE_EMAIL_VERIFICATION=true']
    : []
}

function mailFaults({ SMTP_URL: smtp, SMTP_HELO: helo, MAIL_FROM: from }: Variables): string[] {
  const faults: string[] = []
  if (smtp !== undefined && !parseSmtpUrl(smtp)) {
    faults.push(
      'SMTP_URL must be smtp:// or smtps:// with a host, and no path or query; in a user or password, white space and what a URL reserves are percent-encoded',
    )
  }
  if (helo !== undefined && !isHeloName(helo)) {
    faults.push('SMTP_HELO must be a host name, or an address in brackets, such as [192.0.2.1]')
  }
  if (from !== undefined && !parseMailFrom(from)) {
    faults.push('MAIL_FROM must be an address, or a name and an address: Name <address>')
  }
  return faults
}

function mailConfig(variables: Variables, publicUrl: string): MailConfig {
  const { SMTP_URL: smtp, MAIL_FROM: from = 'Latchkey <latchkey@localhost>' } = variables
  const sender = parseMailFrom(from) as MailAddress
  const appUrl = (variables.APP_URL ?? publicUrl).replace(/\/+$/, '')
  return {
    smtp: smtp === undefined ? undefined : parseSmtpUrl(smtp),
    helo: variables.SMTP_HELO ?? heloName([publicUrl, appUrl], sender),
    from: sender,
    appUrl,
    verificationRequired: variables.REQUIRE_EMAIL_VERIFICATION,
    verificationHours: variables.EMAIL_VERIFICATION_HOURS,
    resetMinutes: variables.PASSWORD_RESET_MINUTES,
    unverifiedDays: variables.UNVERIFIED_ACCOUNT_DAYS,
  }
}

function deepFreeze<T extends object>(value: T): T {
  for (const member of Object.values(value))
    if (typeof member === 'object' && member !== null) deepFreeze(member)
  return Object.freeze(value)
}
