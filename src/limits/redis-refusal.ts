/** A permanent failure of Redis or REDIS_URL that only the operator can fix. */
export class RedisRefusal extends Error {
  override name = 'RedisRefusal'
}

/** Errors of Redis and of TLS, and what they mean. The first match counts. */
const refusals: readonly (readonly [pattern: RegExp, meaning: string])[] = [
  [/^NOAUTH/, 'Redis asks for a password'],
  [
    /^WRONGPASS|invalid password|invalid username-password|without any password configured/,
    'Redis refuses the user or the password',
  ],
  [
    /^NOPERM|ACL failure|has no permissions|can't run this command|can't access (at least )?one of the keys/,
    'the user may not do what the limits need, see docs/limits.md',
  ],
  [/^MOVED/, 'this is one node of a Redis Cluster with several, which is not supported'],
  [/^CROSSSLOT/, 'this is a Redis Cluster behind a proxy that is not supported'],
  [/SELECT is not allowed/, 'Redis in cluster mode has database 0 only'],
  [/DB index is out of range|invalid DB index/, 'Redis has no database with this number'],
  [
    /^ERR unknown command|^ERR This instance has cluster support disabled/,
    'this Redis has no scripts (EVAL)',
  ],
  [
    /SELF_SIGNED_CERT|UNABLE_TO_(GET_ISSUER|VERIFY)/,
    "the server's certificate is not signed by a known CA; NODE_EXTRA_CA_CERTS names a file with others",
  ],
  [/ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH/, "the server's certificate is for another name"],
  [/\bCERT_[A-Z_]+/, "the server's certificate is not valid"],
  [
    /WRONG_VERSION_NUMBER|packet length too long/,
    'the server speaks no TLS there: redis:// instead of rediss://?',
  ],
  [/^Protocol error|^Unknown RESP type/, 'the server speaks no Redis there'],
]

/** Temporary errors of Redis: loading, failover, out of memory. */
const temporary =
  /LOADING|READONLY|OOM|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|^ASK|NOREPLICAS|MISCONF|UNKILLABLE|NOSCRIPT|max number of clients/

/** @returns undefined for a temporary error */
export function refusalOf(error: unknown): RedisRefusal | undefined {
  if (error instanceof RedisRefusal) return error
  const { name, code, message } = error as NodeJS.ErrnoException
  if (temporary.test(message)) return undefined
  // Matched separately, since a pattern may be anchored.
  const texts = [message, String(code ?? '')]
  const found = refusals.find(([pattern]) => texts.some((text) => pattern.test(text)))
  const meaning =
    found?.[1] ?? (name === 'ReplyError' ? 'Redis refuses what the limits ask of it' : undefined)
  return meaning ? new RedisRefusal(`REDIS_URL: ${meaning} (${message})`, { cause: error }) : undefined
}
