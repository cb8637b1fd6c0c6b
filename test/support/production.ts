import { freshDatabase, type Test } from './postgres.ts'

const named = process.env['TEST_DATABASE_URL']
if (!named) throw new Error('TEST_DATABASE_URL must name a PostgreSQL server for this test')

/** The PostgreSQL server of the full suite. Without one its files fail; they are not skipped. */
export const server: string = named

/** The environment of a production instance, on a new database unless `env` has one. */
export async function production(t: Test, env: Record<string, string> = {}): Promise<Record<string, string>> {
  return {
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    DATABASE_URL: env['DATABASE_URL'] ?? (await freshDatabase(t, server)).url,
    SECRET_KEY: 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u',
    PUBLIC_URL: 'https://auth.example.com',
    // Other tests on the machine delay the event loop.
    MAX_EVENT_LOOP_DELAY_MS: '0',
    ...env,
  }
}
