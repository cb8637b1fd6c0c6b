import { buildApp } from '../src/app.ts'
import { loadConfig } from '../src/config/load-config.ts'
import { disconnectedDatabase } from '../src/db/disconnected.ts'

/** The OpenAPI document of this code, as YAML. Needs no database and no configuration. */
export async function contractYaml(): Promise<string> {
  const config = loadConfig(
    { LOG_LEVEL: 'silent', RATE_LIMITS: 'off' },
    () => 'no token is signed with this one',
  )
  const app = await buildApp(config, { db: disconnectedDatabase() })
  try {
    await app.ready()
    return app.contractYaml()
  } finally {
    await app.close()
  }
}

if (import.meta.filename === process.argv[1]) process.stdout.write(await contractYaml())
