import type { Config } from '../config/config.ts'
import { isLoopback } from '../http/loopback.ts'
import type { JwksIssuer } from '../tokens/foreign-token.ts'

/** @param address where the service listens */
export function banner(config: Config, address: string, { redisAway = false } = {}): string {
  const { database } = config
  const rows = [
    config.docs ? ['docs', `${address}/docs`] : ['contract', `${address}/openapi.json`],
    ['database', database.kind === 'embedded' ? `embedded PGlite in ${database.dataDir}` : 'PostgreSQL'],
    ['mode', config.mode],
    ...config.trustedIssuers.map((entry) => ['trusts', `${entry.issuer} by ${keysOf(entry)}`]),
    ['mail', mailNote(config, address)],
    ...(config.mode === 'development'
      ? [['account', `try sessions and a second factor at ${address}/dev/account`]]
      : []),
    ['limits', limitsOf(config, redisAway)],
  ]
  const lines = rows.map(([name, value]) => `  ${name?.padEnd(9)} ${value}`)
  return `Latchkey listens on ${address}\n${lines.join('\n')}\n${config.mode === 'production' ? '' : developmentNotes(config)}`
}

function keysOf({ jwksUrl, secret }: JwksIssuer): string {
  const published = jwksUrl ?? (secret === undefined ? 'its discovery document' : undefined)
  return [published, secret === undefined ? undefined : 'a shared secret'].filter(Boolean).join(' and ')
}

function mailNote({ mode, mail }: Config, address: string): string {
  if (mail.smtp) return 'by SMTP'
  if (mode === 'development') return `kept at ${address}/dev/mailbox, and in the log without its links`
  if (mode === 'test') return 'kept in memory, and in the log without its links'
  return 'none, since SMTP_URL is not set: what needs it answers 503 mail_unavailable'
}

function limitsOf(config: Config, redisAway: boolean): string {
  const where = countersOf(config, redisAway)
  return config.addressLimits
    ? where
    : `of accounts only, ${where}\n${' '.repeat(12)}RATE_LIMITS=off: the gateway must limit the requests of an address`
}

function countersOf({ redisUrl, mode }: Config, redisAway: boolean): string {
  if (redisUrl && redisAway) return 'stricter ones of this process, until Redis answers'
  if (redisUrl) return 'counted in Redis, for all instances together'
  const alone = 'counted in the memory of this process'
  return mode === 'production' ? `${alone}: several instances need REDIS_URL to share them` : alone
}

/** Whether development mode is open to other machines. */
export function isExposed({ mode, host }: Pick<Config, 'mode' | 'host'>): boolean {
  return mode !== 'production' && host !== 'localhost' && !isLoopback(host)
}

function developmentNotes({ dataDir, mode, host }: Config): string {
  const warning = `
  WARNING: ${mode} mode listens on HOST=${host}, which other machines can reach. It has no protection that production
  asks for: set NODE_ENV=production, or HOST=127.0.0.1.
`
  return `${isExposed({ mode, host }) ? warning : ''}
  This is development mode: a secret generated in ${dataDir}/secret_key unless SECRET_KEY is set, one process
  on the embedded database, common passwords accepted.
  Production is NODE_ENV=production with DATABASE_URL, SECRET_KEY (32 bytes or more) and PUBLIC_URL; to send mail,
  it also takes SMTP_URL, MAIL_FROM and APP_URL.
`
}
