import type { Config } from '../../src/config/config.ts'
import { ConfigError } from '../../src/config/environment.ts'
import { loadConfig } from '../../src/config/load-config.ts'

/** The variables that production requires. */
export const production = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://latchkey@db/latchkey',
  SECRET_KEY: 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u',
  PUBLIC_URL: 'https://auth.example.com/',
}

/** The configuration of production with other variables. */
export function load(env: Record<string, string> = {}): Config {
  return loadConfig({ ...production, ...env }, () => 'generated')
}

/** The message of the ConfigError, or `accepted`. */
export function refusal(env: Record<string, string>): string {
  try {
    load(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  return 'accepted'
}
