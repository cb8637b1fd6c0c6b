import type { Config } from './config.ts'

/** What a person who has just started the service wants to know. `address` is where it listens. */
export function banner(config: Config, address: string): string {
  const { database } = config
  const rows = [
    ['docs', `${address}/docs`],
    ['database', database.kind === 'embedded' ? `embedded PGlite in ${database.dataDir}` : 'PostgreSQL'],
    ['mode', config.mode],
    ...(config.rateLimits ? [] : [['limits', 'off (RATE_LIMITS=off): the gateway must limit']]),
  ]
  const lines = rows.map(([name, value]) => `  ${name?.padEnd(9)} ${value}`)
  return `Latchkey listens on ${address}\n${lines.join('\n')}\n${config.mode === 'production' ? '' : developmentNotes(config)}`
}

function developmentNotes({ dataDir }: Config): string {
  return `
  This is development mode: a secret generated in ${dataDir}/secret_key unless SECRET_KEY is set, one process
  on the embedded database, common passwords accepted.
  Production is NODE_ENV=production with DATABASE_URL, SECRET_KEY (32 bytes or more) and PUBLIC_URL.
`
}
