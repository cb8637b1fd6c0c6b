import type pg from 'pg'
import { type Client, clientConfig, withClient } from './client.ts'
import { needsUnprepared } from './errors.ts'
import { DatabaseRefused, named, noSchema, type UrlVariable, wrongEncoding } from './refusals.ts'
import { checkTlsFiles } from './tls-files.ts'

interface Checked {
  readonly variable: UrlVariable
  readonly url: string
  /** False behind a pooler in transaction mode, which keeps neither statements nor settings. */
  readonly prepare: boolean
  readonly signal?: AbortSignal | undefined
  readonly warn?: ((message: string) => void) | undefined
}

/** Milliseconds for a connection, and for an answer. */
const timeout = 5_000

interface Settings {
  readonly server_encoding: string
  readonly date_style: string
  readonly schema: string | null
  readonly isolation: string
  readonly statement_timeout: string
  readonly backend: string
}

/**
 * Checks that the server accepts the connection and that the database's settings fit.
 * @throws DatabaseRefused, and connection errors while the database is unavailable
 */
export async function checkPostgres({ variable, url, prepare, signal, warn }: Checked): Promise<void> {
  const config = { ...clientConfig(url, timeout), query_timeout: timeout }
  await named(variable, async () => {
    checkTlsFiles(url)
    await withClient(config, signal, async (client) => {
      // A pooler in statement mode refuses this.
      if (!prepare) await client.query('begin')
      const settings = await settingsOf(client)
      if (!prepare) await client.query('commit')
      for (const fault of settingFaults(settings, prepare)) throw new DatabaseRefused(fault)
      if (prepare) await refuseTransactionPooler(config, signal, settings.backend)
      else if (settings.statement_timeout === '0') warn?.(noStatementTimeout)
    })
  })
}

const noStatementTimeout =
  "statement_timeout is 0: with DATABASE_PREPARE=false only transactions are bounded; run alter role <role of DATABASE_URL> set statement_timeout = '2s'"

async function settingsOf(client: Client): Promise<Settings> {
  const { rows } = await client.query<Settings>(`
    select current_setting('server_encoding') as server_encoding, current_setting('DateStyle') as date_style,
      current_schema()::text as schema, current_setting('default_transaction_isolation') as isolation,
      current_setting('statement_timeout') as statement_timeout,
      (select pid || ' ' || backend_start from pg_stat_activity where pid = pg_backend_pid()) as backend`)
  return rows[0] as Settings
}

function settingFaults(settings: Settings, prepare: boolean): string[] {
  const { server_encoding, date_style, schema, isolation } = settings
  const faults = schema === null ? [noSchema] : []
  if (server_encoding !== 'UTF8') faults.push(wrongEncoding(server_encoding))
  if (!date_style.startsWith('ISO')) {
    faults.push(
      `DateStyle is ${date_style}, and the pooler does not pass the service's own on: alter role ... set datestyle = 'ISO'`,
    )
  }
  // Set by the service itself on connections of its own.
  if (!prepare && isolation !== 'read committed') {
    faults.push(
      `default_transaction_isolation is ${isolation}: alter role ... set default_transaction_isolation = 'read committed'`,
    )
  }
  return faults
}

/** Two open connections with one backend pid: a pooler in transaction mode. */
async function refuseTransactionPooler(
  config: pg.ClientConfig,
  signal: AbortSignal | undefined,
  backend: string,
): Promise<void> {
  const other = await withClient(config, signal, settingsOf)
  if (other.backend === backend) throw new DatabaseRefused(needsUnprepared)
}
