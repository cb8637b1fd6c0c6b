import type { SessionPolicy } from '../sessions/policy.ts'
import { refreshKeys } from '../sessions/refresh-token.ts'
import type { Config } from './config.ts'

/** The policy of sessions that a configuration asks for; its clock is the process's. */
export function sessionPolicyOf(config: Config): Omit<SessionPolicy, 'clock'> {
  return {
    ...config.sessions,
    accessTokenSeconds: config.accessTokenSeconds,
    foreignTokenSeconds: config.foreignTokenSeconds,
    sharedSecret: config.algorithm === 'HS256',
    refreshKeys: refreshKeys(config.secretKey, config.previousSecretKey),
    secondFactor: config.requireSecondFactor,
  }
}
