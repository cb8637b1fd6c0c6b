import { availableParallelism } from 'node:os'
import { type Budgets, budgets, type LimitName, parseBudget } from '../limits/budgets.ts'
import { recommendedCost } from '../passwords/hashes.ts'
import { secretWeakness } from '../tokens/secret.ts'
import type { Config } from './config.ts'
import { ConfigError, parseEnvironment, type Variables } from './environment.ts'
import { mailConfig, mailFaults, missingForMail } from './mail-config.ts'
import { readServiceClients } from './service-clients.ts'
import { readTrustedIssuers } from './trusted-issuers.ts'
import { list, proxyFaults, urlFaults } from './urls.ts'
import { webhookConfig, webhookFaults } from './webhook-config.ts'

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
  const services = readServiceClients(variables.SERVICE_CLIENTS)
  faults.push(...urlFaults(variables), ...proxyFaults(variables), ...mailFaults(variables))
  faults.push(...trusted.faults, ...services.faults, ...webhookFaults(variables))
  if (variables.METRICS_PORT === variables.PORT && variables.PORT !== 0)
    faults.push('METRICS_PORT must differ from PORT')
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
          ...(variables.LISTEN_DATABASE_URL ? { listenUrl: variables.LISTEN_DATABASE_URL } : {}),
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
    serviceClients: services.clients,
    trustedIssuers: trusted.issuers,
    foreignTokenSeconds: variables.TRUSTED_TOKEN_MAX_DAYS * 86_400,
    accessTokenSeconds: variables.ACCESS_TOKEN_EXPIRE_MINUTES * 60,
    sessions: { idleDays: variables.SESSION_IDLE_DAYS, absoluteDays: variables.SESSION_ABSOLUTE_DAYS },
    maxKeyDays: variables.API_KEY_MAX_DAYS,
    revocationPollSeconds: variables.REVOCATION_POLL_SECONDS,
    requireSecondFactor: variables.REQUIRE_SECOND_FACTOR,
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
    gatewayVerify: variables.GATEWAY_VERIFY === 'on',
    corsOrigins: list(variables.CORS_ORIGINS ?? ''),
    maxEventLoopDelay: variables.MAX_EVENT_LOOP_DELAY_MS,
    mail: mailConfig(variables, publicUrl),
    metricsPort: variables.METRICS_PORT,
    webhook: webhookConfig(variables),
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

function deepFreeze<T extends object>(value: T): T {
  for (const member of Object.values(value))
    if (typeof member === 'object' && member !== null) deepFreeze(member)
  return Object.freeze(value)
}
