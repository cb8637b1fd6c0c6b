import type { TokenAlgorithm } from '../keys/signing-keys.ts'
import type { Budgets } from '../limits/budgets.ts'
import type { HashCost } from '../passwords/hashes.ts'
import type { ServiceClient } from '../services/clients.ts'
import type { JwksIssuer } from '../tokens/foreign-token.ts'
import type { SecondFactorRule } from '../tokens/requirements.ts'
import type { MailConfig } from './mail-config.ts'
import type { WebhookConfig } from './webhook-config.ts'

/** The configuration of the process; frozen, made once by `loadConfig`. */
export interface Config {
  readonly mode: 'development' | 'production' | 'test'
  readonly host: string
  readonly port: number
  /** Without a trailing slash. The `iss` of every token issued here. */
  readonly publicUrl: string
  readonly database:
    | { readonly kind: 'embedded'; readonly dataDir: string }
    | {
        readonly kind: 'postgres'
        readonly url: string
        /** For LISTEN; undefined: `url`, if that is no pooler in transaction mode. */
        readonly listenUrl?: string
        /** For migrations; undefined: `url`. */
        readonly migrateUrl?: string
        readonly poolSize: number
        readonly prepare: boolean
      }
  readonly dataDir: string
  readonly migrateOnStart: boolean
  readonly secretKey: string
  readonly previousSecretKey: string | undefined
  readonly algorithm: TokenAlgorithm
  /** Age at which a signing key is rotated; 0 never rotates. */
  readonly keyRotationDays: number
  readonly audience: string
  readonly serviceClients: readonly ServiceClient[]
  /** Trusted besides this service itself and those that share its secret. */
  readonly trustedIssuers: readonly JwksIssuer[]
  /** Longest lifetime, `iat` to `exp`, accepted of a foreign token. */
  readonly foreignTokenSeconds: number
  readonly accessTokenSeconds: number
  readonly sessions: { readonly idleDays: number; readonly absoluteDays: number }
  /** Longest life of an API key. */
  readonly maxKeyDays: number
  readonly revocationPollSeconds: number
  readonly requireSecondFactor: SecondFactorRule
  readonly maxTasksPerUser: number
  readonly hashing: {
    readonly concurrency: number
    readonly queue: number
    /** Not a variable: no misconfiguration can weaken password hashes. */
    readonly cost: HashCost
  }
  readonly passwordBlocklist: boolean
  readonly budgets: Budgets
  /** False when a gateway limits requests by address. The limits on wrong passwords always apply. */
  readonly addressLimits: boolean
  /** Shared counters; undefined: each instance counts in memory. */
  readonly redisUrl: string | undefined
  /** Whether /docs is served; the contract is served in any case. */
  readonly docs: boolean
  /** CIDRs and names of proxy-addr; false ignores every forwarding header. */
  readonly trustProxy: readonly string[] | false
  readonly keepAliveSeconds: number
  /** The value of Strict-Transport-Security; undefined: not sent. */
  readonly hsts: string | undefined
  /** Whether gateways can ask at /gateway/verify. */
  readonly gatewayVerify: boolean
  readonly corsOrigins: readonly string[]
  /** Milliseconds above which requests are answered 503; 0 turns that off. */
  readonly maxEventLoopDelay: number
  readonly mail: MailConfig
  /** Of the listener for GET /metrics; undefined: none. */
  readonly metricsPort: number | undefined
  /** Undefined: events are not pushed. */
  readonly webhook: WebhookConfig | undefined
  readonly logLevel: string
}
