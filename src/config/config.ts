import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { isDecodable, postgresUrlFaults } from '../db/postgres-url.ts'
import type { TokenAlgorithm } from '../keys/signing-keys.ts'
import {
  type Budgets,
  budgetPattern,
  budgets,
  formatBudget,
  type LimitName,
  parseBudget,
} from '../limits/budgets.ts'
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
import { isHttpUrl } from '../tokens/http-url.ts'
import { secretWeakness } from '../tokens/secret.ts'
import { readTrustedIssuers } from './trusted-issuers.ts'

const OnOff = Type.Union([Type.Literal('on'), Type.Literal('off')])

/** `off`, or what the header says (RFC 6797 section 6.1); a number alone is a max-age. */
const hstsPattern = '^(off|(max-age=)?[0-9]{1,10}(; ?includeSubDomains)?(; ?preload)?)$'

/** A budget of src/limits/budgets.ts, which has the default. */
const BudgetOf = (name: LimitName) =>
  Type.String({
    pattern: budgetPattern,
    default: formatBudget(budgets[name]),
    takes: 'a number and a window in s, m, h or d, as 30/1m',
  })

/** Every variable that the service reads. docs/configuration.md has the same list; a test compares them. */
export const Environment = Type.Object({
  NODE_ENV: Type.Union([Type.Literal('development'), Type.Literal('production'), Type.Literal('test')], {
    default: 'development',
  }),
  HOST: Type.Optional(Type.String({ minLength: 1 })),
  PORT: Type.Integer({ minimum: 0, maximum: 65535, default: 8000 }),
  PUBLIC_URL: Type.Optional(Type.String()),
  DATABASE_URL: Type.Optional(Type.String()),
  DATABASE_POOL_SIZE: Type.Integer({ minimum: 1, maximum: 100, default: 5 }),
  DATABASE_PREPARE: Type.Boolean({ default: true }),
  MIGRATE_DATABASE_URL: Type.Optional(Type.String()),
  DATA_DIR: Type.String({ minLength: 1, default: './data' }),
  MIGRATE_ON_START: Type.Boolean({ default: true }),
  SECRET_KEY: Type.Optional(Type.String()),
  SECRET_KEY_PREVIOUS: Type.Optional(Type.String()),
  ALGORITHM: Type.Union(
    [Type.Literal('HS256'), Type.Literal('EdDSA'), Type.Literal('ES256'), Type.Literal('RS256')],
    { default: 'HS256' },
  ),
  KEY_ROTATION_DAYS: Type.Integer({ minimum: 0, maximum: 3650, default: 90 }),
  AUDIENCE: Type.Optional(Type.String({ minLength: 1 })),
  BETTER_AUTH_URL: Type.Optional(Type.String()),
  TRUSTED_ISSUERS: Type.Optional(Type.String()),
  TRUSTED_TOKEN_MAX_DAYS: Type.Integer({ minimum: 1, maximum: 3660, default: 31 }),
  ACCESS_TOKEN_EXPIRE_MINUTES: Type.Integer({ minimum: 1, maximum: 1440, default: 15 }),
  SESSION_IDLE_DAYS: Type.Integer({ minimum: 1, maximum: 365, default: 14 }),
  SESSION_ABSOLUTE_DAYS: Type.Integer({ minimum: 1, maximum: 365, default: 30 }),
  // Well below the time after which a process without news refuses: src/sessions/revocations.ts.
  REVOCATION_POLL_SECONDS: Type.Integer({ minimum: 1, maximum: 5, default: 2 }),
  // Up to what src/db/migrations/0011_task_counts.ts counts.
  MAX_TASKS_PER_USER: Type.Integer({ minimum: 1, maximum: 1_000_000, default: 10_000 }),
  // By default what hashesAtOnce says.
  HASH_CONCURRENCY: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
  HASH_QUEUE: Type.Integer({ minimum: 1, maximum: 10_000, default: 100 }),
  PASSWORD_BLOCKLIST: Type.Optional(OnOff),
  RATE_LIMITS: Type.Union([OnOff], { default: 'on' }),
  REDIS_URL: Type.Optional(Type.String()),
  RATE_LIMIT_SIGNUP: BudgetOf('signup'),
  RATE_LIMIT_LOGIN: BudgetOf('login'),
  RATE_LIMIT_REFRESH: BudgetOf('refresh'),
  RATE_LIMIT_FORGOT: BudgetOf('forgot'),
  RATE_LIMIT_VERIFY: BudgetOf('verify'),
  RATE_LIMIT_EVERYTHING: BudgetOf('everything'),
  RATE_LIMIT_ACCOUNT: BudgetOf('account'),
  RATE_LIMIT_PAIR: BudgetOf('pair'),
  DOCS: Type.Union([OnOff], { default: 'on' }),
  TRUST_PROXY: Type.Optional(Type.String()),
  // Longer than a gateway keeps an idle connection: 60 seconds is usual, Envoy's hour the longest.
  KEEP_ALIVE_SECONDS: Type.Integer({ minimum: 1, maximum: 7200, default: 70 }),
  HSTS: Type.String({
    pattern: hstsPattern,
    default: 'max-age=31536000',
    takes: 'off, or max-age=<seconds>, with ; includeSubDomains and ; preload behind it if wanted',
  }),
  CORS_ORIGINS: Type.Optional(Type.String()),
  MAX_EVENT_LOOP_DELAY_MS: Type.Integer({ minimum: 0, maximum: 60_000, default: 1_000 }),
  APP_URL: Type.Optional(Type.String()),
  SMTP_URL: Type.Optional(Type.String()),
  SMTP_HELO: Type.Optional(Type.String()),
  MAIL_FROM: Type.Optional(Type.String()),
  REQUIRE_EMAIL_VERIFICATION: Type.Boolean({ default: false }),
  EMAIL_VERIFICATION_HOURS: Type.Integer({ minimum: 1, maximum: 168, default: 24 }),
  PASSWORD_RESET_MINUTES: Type.Integer({ minimum: 5, maximum: 1440, default: 30 }),
  UNVERIFIED_ACCOUNT_DAYS: Type.Integer({ minimum: 0, maximum: 3650, default: 30 }),
  LOG_LEVEL: Type.Union(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map((level) => Type.Literal(level)),
    { default: 'info' },
  ),
})

type Variables = Static<typeof Environment>

/** What is read of the environment; the last one by Node.js too. */
export const knownVariables: readonly string[] = [
  ...Object.keys(Environment.properties),
  'UV_THREADPOOL_SIZE',
]

/** What the rest of the service knows of its surroundings; frozen, made once by {@link loadConfig}. */
export interface Config {
  readonly mode: 'development' | 'production' | 'test'
  readonly host: string
  readonly port: number
  /** Without a trailing slash. The `iss` of every token made here. */
  readonly publicUrl: string
  readonly database:
    | { readonly kind: 'embedded'; readonly dataDir: string }
    | {
        readonly kind: 'postgres'
        readonly url: string
        /** By which migrations run; undefined where that is `url`. */
        readonly migrateUrl?: string
        readonly poolSize: number
        readonly prepare: boolean
      }
  readonly dataDir: string
  readonly migrateOnStart: boolean
  readonly secretKey: string
  readonly previousSecretKey: string | undefined
  readonly algorithm: TokenAlgorithm
  /** Age at which a signing key gets a successor; 0 leaves that to the operator. */
  readonly keyRotationDays: number
  readonly audience: string
  /** Whose tokens are accepted besides our own, and those of who shares our secret. */
  readonly trustedIssuers: readonly JwksIssuer[]
  /** Longest life, from `iat` to `exp`, of a token that was not made here. */
  readonly foreignTokenSeconds: number
  readonly accessTokenSeconds: number
  readonly sessions: { readonly idleDays: number; readonly absoluteDays: number }
  readonly revocationPollSeconds: number
  readonly maxTasksPerUser: number
  readonly hashing: {
    readonly concurrency: number
    readonly queue: number
    /** Not a variable: nothing that an operator sets by mistake makes hashes cheap. */
    readonly cost: HashCost
  }
  readonly passwordBlocklist: boolean
  readonly budgets: Budgets
  /** False when a gateway limits the requests of an address instead. Wrong passwords of an account always count. */
  readonly addressLimits: boolean
  /** Where instances share their counters; undefined leaves each to its own. */
  readonly redisUrl: string | undefined
  /** Whether there is a page at /docs; the contract is served in any case. */
  readonly docs: boolean
  /** CIDRs and names that proxy-addr takes; false ignores every forwarding header. */
  readonly trustProxy: readonly string[] | false
  /** How long a connection may be idle. */
  readonly keepAliveSeconds: number
  /** The value of Strict-Transport-Security, if it is sent. */
  readonly hsts: string | undefined
  /** Whose pages may read answers. */
  readonly corsOrigins: readonly string[]
  /** Milliseconds from which on requests are refused; 0 is never. */
  readonly maxEventLoopDelay: number
  readonly mail: MailConfig
  readonly logLevel: string
}

export interface MailConfig {
  /** Undefined where no mail server is named: development keeps mail to itself, production sends none. */
  readonly smtp: SmtpServer | undefined
  /** What this service calls itself to the mail server; undefined where nothing in the configuration is such a name. */
  readonly helo: string | undefined
  readonly from: MailAddress
  /** Where the frontend's pages are, without a trailing slash: the base of every link in a mail. */
  readonly appUrl: string
  readonly verificationRequired: boolean
  readonly verificationHours: number
  readonly resetMinutes: number
  /** After which an account that waits to be verified is deleted; 0 is never. */
  readonly unverifiedDays: number
}

/** The environment cannot be used. Each line of the message names a variable, never its value. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/**
 * Turns environment variables into a Config.
 * @param generateSecret asked in development when SECRET_KEY is unset; gets DATA_DIR
 * @throws ConfigError
 */
export function loadConfig(
  env: Readonly<Record<string, string | undefined>>,
  generateSecret: (dataDir: string) => string,
): Config {
  const variables = parse(env)
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

/** @throws ConfigError when the folder cannot be used */
function generated(generateSecret: (dataDir: string) => string, dataDir: string): string {
  try {
    return generateSecret(dataDir)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    throw new ConfigError(`DATA_DIR must be a folder that this process can write to (${code})`)
  }
}

/** Threads that Node computes hashes on, looks names up and reads files, unless UV_THREADPOOL_SIZE says otherwise. */
const nodeThreads = 4

/** As many as leave a core to everything else, and a thread to names and files. */
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

/** Lists and JSON, where a line break between two entries is none of the text. */
const maySpanLines = ['TRUSTED_ISSUERS', 'CORS_ORIGINS', 'TRUST_PROXY']

function parse(env: Readonly<Record<string, string | undefined>>): Variables {
  const known: Record<string, string> = {}
  const faults = new Map<string, string>()
  for (const name of Object.keys(Environment.properties)) {
    const isSecret = name.startsWith('SECRET_KEY')
    // A secret is a key to the last byte, which others have too: src/tokens/secret.ts refuses white space around it.
    const value = isSecret ? env[name] : env[name]?.trim()
    // `NAME=` in a compose file means "not set" for everything but a secret, where empty is a mistake.
    if (value !== undefined && (value !== '' || isSecret)) known[name] = value
    if (value !== undefined && !isSecret && !maySpanLines.includes(name) && /\p{Cc}/u.test(value)) {
      faults.set(name, `${name} must be one line of text without control characters`)
    }
  }
  const variables = Value.Default(Environment, convert(known))
  if (faults.size === 0 && Value.Check(Environment, variables)) return variables
  for (const { path, schema } of Value.Errors(Environment, variables)) {
    const name = path.slice(1)
    if (!faults.has(name)) faults.set(name, `${name} must be ${expectation(schema)}`)
  }
  throw new ConfigError([...faults.values()].join('\n'))
}

/** Numbers and booleans as they are written in an environment; anything else stays text, for the schema to refuse. */
function convert(texts: Readonly<Record<string, string>>): Record<string, unknown> {
  const properties: Record<string, TSchema> = Environment.properties
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => {
      const type = properties[name]?.['type']
      if (type === 'integer' && /^\d{1,9}$/.test(text)) return [name, Number(text)]
      if (type === 'boolean' && /^(true|false)$/.test(text)) return [name, text === 'true']
      return [name, text]
    }),
  )
}

/** Says in words what a variable's schema takes. */
function expectation(schema: Record<string, unknown>): string {
  if (Array.isArray(schema['anyOf'])) return schema['anyOf'].map(expectation).join(' or ')
  if (typeof schema['takes'] === 'string') return schema['takes']
  if ('const' in schema) return String(schema['const'])
  if (schema['type'] === 'integer') return `a whole number from ${schema['minimum']} to ${schema['maximum']}`
  if (schema['type'] === 'boolean') return 'true or false'
  return 'a non-empty text'
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
  // Nobody could ever log in.
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

function urlFaults(variables: Variables): string[] {
  const faults: string[] = []
  for (const name of ['PUBLIC_URL', 'APP_URL'] as const) {
    if (variables[name] !== undefined && !isHttpUrl(variables[name])) {
      faults.push(
        `${name} must be an http(s) URL without credentials, query or fragment, such as https://auth.example.com`,
      )
    }
  }
  for (const name of ['DATABASE_URL', 'MIGRATE_DATABASE_URL'] as const) {
    faults.push(...postgresUrlFaults(variables[name]).map((fault) => `${name} ${fault}`))
  }
  if (variables.MIGRATE_DATABASE_URL !== undefined && variables.DATABASE_URL === undefined) {
    faults.push('DATABASE_URL must be set when MIGRATE_DATABASE_URL is')
  }
  if (!list(variables.CORS_ORIGINS ?? '').every(isOrigin)) {
    faults.push(
      'CORS_ORIGINS must be a comma-separated list of origins, such as https://app.example.com or capacitor://localhost',
    )
  }
  if (variables.REDIS_URL !== undefined && !isRedisUrl(variables.REDIS_URL)) {
    faults.push(
      'REDIS_URL must be a redis:// or rediss:// URL with a host, a database number as its path if any, and no query; in a password, / is %2F, ? is %3F, # is %23, % is %25',
    )
  }
  return faults
}

/**
 * An origin as a browser sends it (RFC 6454 section 6.2): scheme, host and port and nothing else. Those of web views
 * and extensions have a scheme of their own, for which the URL standard has no origin; `file:` has none anywhere.
 */
function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { origin, protocol } = new URL(text)
  if (origin !== 'null') return origin === text && !text.includes('*')
  return protocol !== 'file:' && /^[a-z][a-z0-9+.-]*:\/\/[A-Za-z0-9._~-]+(:[1-9][0-9]{0,4})?$/.test(text)
}

/** The client takes a path that is no number for database 0, and any text for a host. */
function isRedisUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, pathname, username, password, search, hash } = new URL(text)
  if (!/^rediss?:$/.test(protocol) || hostname === '' || !/^(\/\d{0,4})?$/.test(pathname)) return false
  // The client takes a query for options of its own, as text.
  return !/[?#]/.test(text) && search === '' && hash === '' && [username, password].every(isDecodable)
}

const proxyNames = ['loopback', 'linklocal', 'uniquelocal']

function proxyFaults(variables: Variables): string[] {
  const wrong = list(variables.TRUST_PROXY ?? '').some(
    (entry) => !proxyNames.includes(entry) && !isCidr(entry),
  )
  return wrong ? ['TRUST_PROXY must be a comma-separated list of addresses or CIDRs'] : []
}

function isCidr(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/')
  const bits = isIP(address) === 4 ? 32 : 128
  const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : 0
  // A prefix of 0 would believe anyone.
  return (
    rest.length === 0 &&
    isIP(address) > 0 &&
    !address.includes('%') &&
    Number.isInteger(length) &&
    length > 0 &&
    length <= bits
  )
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
}

function deepFreeze<T extends object>(value: T): T {
  for (const member of Object.values(value))
    if (typeof member === 'object' && member !== null) deepFreeze(member)
  return Object.freeze(value)
}
