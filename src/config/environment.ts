import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { budgetPattern, budgets, formatBudget, type LimitName } from '../limits/budgets.ts'

const OnOff = Type.Union([Type.Literal('on'), Type.Literal('off')])

/** `off`, or a value of Strict-Transport-Security (RFC 6797 section 6.1); a number alone is its max-age. */
const hstsPattern = '^(off|(max-age=)?[0-9]{1,10}(; ?includeSubDomains)?(; ?preload)?)$'

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
  LISTEN_DATABASE_URL: Type.Optional(Type.String()),
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
  SERVICE_CLIENTS: Type.Optional(Type.String()),
  BETTER_AUTH_URL: Type.Optional(Type.String()),
  BETTER_AUTH_SECRET: Type.Optional(Type.String()),
  TRUSTED_ISSUERS: Type.Optional(Type.String()),
  TRUSTED_TOKEN_MAX_DAYS: Type.Integer({ minimum: 1, maximum: 3660, default: 31 }),
  ACCESS_TOKEN_EXPIRE_MINUTES: Type.Integer({ minimum: 1, maximum: 1440, default: 15 }),
  SESSION_IDLE_DAYS: Type.Integer({ minimum: 1, maximum: 365, default: 14 }),
  SESSION_ABSOLUTE_DAYS: Type.Integer({ minimum: 1, maximum: 365, default: 30 }),
  API_KEY_MAX_DAYS: Type.Integer({ minimum: 1, maximum: 3650, default: 365 }),
  // Well below the staleness at which every token is refused: src/sessions/revocations.ts.
  REVOCATION_POLL_SECONDS: Type.Integer({ minimum: 1, maximum: 5, default: 2 }),
  REQUIRE_SECOND_FACTOR: Type.Union([Type.Literal('off'), Type.Literal('enrolled'), Type.Literal('all')], {
    default: 'enrolled',
  }),
  // At most the count that src/db/migrations/0011_task_counts.ts can hold.
  MAX_TASKS_PER_USER: Type.Integer({ minimum: 1, maximum: 1_000_000, default: 10_000 }),
  // Default: hashesAtOnce in config.ts.
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
  RATE_LIMIT_SERVICE: BudgetOf('service'),
  RATE_LIMIT_EVERYTHING: BudgetOf('everything'),
  RATE_LIMIT_ACCOUNT: BudgetOf('account'),
  RATE_LIMIT_PAIR: BudgetOf('pair'),
  RATE_LIMIT_KEYS: BudgetOf('keys'),
  RATE_LIMIT_EXPORTS: BudgetOf('exports'),
  DOCS: Type.Union([OnOff], { default: 'on' }),
  TRUST_PROXY: Type.Optional(Type.String()),
  // Longer than the idle timeout of the gateway, which reuses a closed connection otherwise: 60 s is usual, Envoy has 1 h.
  KEEP_ALIVE_SECONDS: Type.Integer({ minimum: 1, maximum: 7200, default: 70 }),
  HSTS: Type.String({
    pattern: hstsPattern,
    default: 'max-age=31536000',
    takes: 'off, or max-age=<seconds>, with ; includeSubDomains and ; preload behind it if wanted',
  }),
  GATEWAY_VERIFY: Type.Union([OnOff], { default: 'on' }),
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
  METRICS_PORT: Type.Optional(Type.Integer({ minimum: 0, maximum: 65535 })),
  WEBHOOK_URL: Type.Optional(Type.String()),
  WEBHOOK_SECRET: Type.Optional(Type.String()),
  WEBHOOK_SECRET_PREVIOUS: Type.Optional(Type.String()),
  WEBHOOK_EVENTS: Type.Optional(Type.String()),
  LOG_LEVEL: Type.Union(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map((level) => Type.Literal(level)),
    { default: 'info' },
  ),
})

export type Variables = Static<typeof Environment>

/** Every variable that is read, UV_THREADPOOL_SIZE by Node.js too. */
export const knownVariables: readonly string[] = [
  ...Object.keys(Environment.properties),
  'UV_THREADPOOL_SIZE',
]

/** The configuration is invalid. Each line of the message names a variable, never its value. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/** Lists and JSON, where a line break between entries is harmless. */
const maySpanLines = ['TRUSTED_ISSUERS', 'SERVICE_CLIENTS', 'CORS_ORIGINS', 'TRUST_PROXY', 'WEBHOOK_EVENTS']

/**
 * Parses and validates the environment by the schema.
 * @throws ConfigError with one line per variable
 */
export function parseEnvironment(env: Readonly<Record<string, string | undefined>>): Variables {
  const known: Record<string, string> = {}
  const faults = new Map<string, string>()
  for (const name of Object.keys(Environment.properties)) {
    const isSecret = /^(SECRET_KEY|BETTER_AUTH_SECRET|WEBHOOK_SECRET)/.test(name)
    // Never trimmed: others that share the secret may not trim it. src/tokens/secret.ts refuses white space around it.
    const value = isSecret ? env[name] : env[name]?.trim()
    // `NAME=` in a compose file means unset, except for a secret, where it is a mistake.
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

/** Converts integers and booleans; anything else stays text, which the schema then refuses. */
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

/** What a variable's schema accepts, in words. */
function expectation(schema: Record<string, unknown>): string {
  if (Array.isArray(schema['anyOf'])) return schema['anyOf'].map(expectation).join(' or ')
  if (typeof schema['takes'] === 'string') return schema['takes']
  if ('const' in schema) return String(schema['const'])
  if (schema['type'] === 'integer') return `a whole number from ${schema['minimum']} to ${schema['maximum']}`
  if (schema['type'] === 'boolean') return 'true or false'
  return 'a non-empty text'
}
