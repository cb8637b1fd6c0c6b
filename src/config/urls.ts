import { isIP } from 'node:net'
import { isDecodable, postgresUrlFaults } from '../db/postgres-url.ts'
import { isHttpUrl } from '../tokens/http-url.ts'
import type { Variables } from './environment.ts'

/** What is wrong with the variables that are URLs: names and rules, no values. */
export function urlFaults(variables: Variables): string[] {
  const faults: string[] = []
  for (const name of ['PUBLIC_URL', 'APP_URL'] as const) {
    if (variables[name] !== undefined && !isHttpUrl(variables[name])) {
      faults.push(
        `${name} must be an http(s) URL without credentials, query or fragment, such as https://auth.example.com`,
      )
    }
  }
  for (const name of ['DATABASE_URL', 'LISTEN_DATABASE_URL', 'MIGRATE_DATABASE_URL'] as const) {
    faults.push(...postgresUrlFaults(variables[name]).map((fault) => `${name} ${fault}`))
    if (variables[name] !== undefined && variables.DATABASE_URL === undefined) {
      faults.push(`DATABASE_URL must be set when ${name} is`)
    }
  }
  if (!list(variables.CORS_ORIGINS ?? '').every(isOrigin)) {
    faults.push(
      'CORS_ORIGINS must be a comma-separated list of origins, such as https://app.example.com or capacitor://localhost',
    )
  }
  if (variables.REDIS_URL !== undefined && !isRedisUrl(variables.REDIS_URL)) {
    faults.push(
      'REDIS_URL must be a redis:// or rediss:// URL with a host, a database number as its path if any, and no query; in a password, / is %2F, ? is %3F, # is %23, % is %25',
    )
  }
  return faults
}

/**
 * Whether a text is an origin as a browser serializes it (RFC 6454 section 6.2): scheme, host and port only. For the
 * schemes of web views and extensions the URL standard has no origin; `file:` has none in any browser.
 */
function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { origin, protocol } = new URL(text)
  if (origin !== 'null') return origin === text && !text.includes('*')
  return protocol !== 'file:' && /^[a-z][a-z0-9+.-]*:\/\/[A-Za-z0-9._~-]+(:[1-9][0-9]{0,4})?$/.test(text)
}

/** Stricter than the client, which takes a path that is not a number for database 0, and any text for a host. */
function isRedisUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, pathname, username, password, search, hash } = new URL(text)
  if (!/^rediss?:$/.test(protocol) || hostname === '' || !/^(\/\d{0,4})?$/.test(pathname)) return false
  // The client would read a query as options of its own.
  return !/[?#]/.test(text) && search === '' && hash === '' && [username, password].every(isDecodable)
}

const proxyNames = ['loopback', 'linklocal', 'uniquelocal']

export function proxyFaults(variables: Variables): string[] {
  const wrong = list(variables.TRUST_PROXY ?? '').some(
    (entry) => !proxyNames.includes(entry) && !isCidr(entry),
  )
  return wrong ? ['TRUST_PROXY must be a comma-separated list of addresses or CIDRs'] : []
}

function isCidr(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/')
  const bits = isIP(address) === 4 ? 32 : 128
  const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : 0
  // A prefix of 0 would trust every address.
  return (
    rest.length === 0 &&
    isIP(address) > 0 &&
    !address.includes('%') &&
    Number.isInteger(length) &&
    length > 0 &&
    length <= bits
  )
}

/** The entries of a comma-separated list. */
export function list(text: string): string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
}
