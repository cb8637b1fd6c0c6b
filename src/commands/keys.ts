import { systemClock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/environment.ts'
import { openDatabase } from '../db/open.ts'
import { type KeyStore, rotateKeys } from '../keys/key-rotation.ts'
import { listSigningKeys } from '../keys/repository.ts'
import { endOf, stateOf } from '../keys/signing-keys.ts'
import { requireSchema } from './prepare-schema.ts'

/** The `keys` commands. */
export const runKeys = {
  list: (config: Config) => withKeys(config, (store) => list(store, config)),
  rotate: (config: Config) => withKeys(config, (store) => rotate(store, false)),
  rotateNow: (config: Config) => withKeys(config, (store) => rotate(store, true)),
}

/** @throws ConfigError, DataFolderInUse */
async function withKeys(config: Config, run: (store: KeyStore) => Promise<string>): Promise<void> {
  const { algorithm, secretKey: secret, previousSecretKey: previousSecret } = config
  if (algorithm === 'HS256') {
    throw new ConfigError('ALGORITHM=HS256 signs with SECRET_KEY: there are no keys to list or rotate')
  }
  const database = await openDatabase(config, () => {})
  const { db } = database
  try {
    await requireSchema(database)
    process.stdout.write(await run({ db, algorithm, secret, previousSecret, clock: systemClock }))
  } finally {
    await db.destroy()
  }
}

async function list({ db, algorithm, clock }: KeyStore, { accessTokenSeconds }: Config): Promise<string> {
  const keys = await listSigningKeys(db, algorithm)
  const rows = keys.map((key, index) => [
    key.kid,
    key.algorithm,
    stateOf(keys, index, accessTokenSeconds, clock()),
    time(key.signsFrom),
    time(endOf(keys, index, accessTokenSeconds)),
  ])
  return table([['kid', 'algorithm', 'state', 'signs_from', 'ends'], ...rows])
}

async function rotate(store: KeyStore, atOnce: boolean): Promise<string> {
  const { kid, signsFrom } = await rotateKeys(store, { atOnce })
  return `key ${kid} signs from ${time(signsFrom)}\n`
}

function time(seconds: number): string {
  return Number.isFinite(seconds) ? new Date(seconds * 1000).toISOString() : '-'
}

function table(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) => `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
    .map((line) => `${line}\n`)
    .join('')
}
