import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { type Client, clientConfig, withClient } from './client.ts'
import { isDatabaseAway } from './errors.ts'
import { DatabaseRefused, named } from './refusals.ts'
import { checkTlsFiles } from './tls-files.ts'

interface Checked {
  /** Of LISTEN_DATABASE_URL. */
  readonly url: string
  /** Of DATABASE_URL. */
  readonly notifyingUrl: string
  readonly signal?: AbortSignal | undefined
  readonly warn?: ((message: string) => void) | undefined
}

/** Milliseconds for a connection, an answer and a notification. */
const timeout = 5_000

const pooled =
  'a pooler gives each transaction another connection, which hears nothing: lead it to PostgreSQL itself'
const deaf = 'hears nothing that is notified over DATABASE_URL: it leads to another database or server'

/**
 * Checks that what is notified over DATABASE_URL is heard. An unavailable server is only logged, since instances poll.
 * @throws DatabaseRefused
 */
export async function checkListening({ url, notifyingUrl, signal, warn }: Checked): Promise<void> {
  const channel = `latchkey_check_${process.pid}_${Date.now()}`
  try {
    await named('LISTEN_DATABASE_URL', async () => {
      checkTlsFiles(url)
      await withClient(configOf(url), signal, async (listener) => {
        await refuseTransactionPooler(listener, url, signal)
        const heard = new Promise<true>((resolve) => listener.once('notification', () => resolve(true)))
        await listener.query(`listen ${channel}`)
        await withClient(configOf(notifyingUrl), signal, (client) => client.query(`notify ${channel}`))
        const isHeard = await Promise.race([heard, delay(timeout, false, { ref: false })])
        if (!isHeard) throw new DatabaseRefused(deaf)
      })
    })
  } catch (error) {
    if (!isDatabaseAway(error)) throw error
    warn?.('LISTEN_DATABASE_URL cannot be reached: ended sessions are found by polling until it can')
  }
}

function configOf(url: string): pg.ClientConfig {
  return { ...clientConfig(url, timeout), query_timeout: timeout }
}

/** Its LISTEN would stay on a connection of other clients. */
async function refuseTransactionPooler(
  listener: Client,
  url: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const pidOf = async (client: Client) =>
    (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid
  const other = await withClient(configOf(url), signal, pidOf)
  if ((await pidOf(listener)) === other) throw new DatabaseRefused(pooled)
}
