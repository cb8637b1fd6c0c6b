/** Parameters that a URL may have and their values; the driver would ignore any other. */
const parameters: Record<string, { readonly test: RegExp; readonly takes: string }> = {
  sslmode: {
    test: /^(disable|prefer|require|verify-ca|verify-full|no-verify)$/,
    takes: 'disable, prefer, require, verify-ca, verify-full or no-verify',
  },
  sslrootcert: { test: /^(?!system$)./, takes: "a file; left out, Node's own CAs are trusted" },
  sslcert: { test: /./, takes: 'a file' },
  sslkey: { test: /./, takes: 'a file' },
  sslnegotiation: { test: /^(postgres|direct)$/, takes: 'postgres or direct' },
  ssl: { test: /^true$/, takes: 'true; sslmode has the other choices' },
  uselibpqcompat: { test: /^(true|false)$/, takes: 'true or false' },
  options: { test: /./, takes: 'a text, as -c search_path=auth' },
  application_name: { test: /./, takes: 'a text' },
  host: { test: /^[^,]+$/, takes: 'one host, or the folder of a socket' },
  port: { test: /^\d{1,5}$/, takes: 'a number' },
  user: { test: /./, takes: 'a text' },
  password: { test: /./, takes: 'a text' },
}

/** Parameters of other drivers, and their equivalents here. */
const elsewhere: Record<string, string> = {
  schema: 'options=-c%20search_path%3D<schema> selects a schema',
  search_path: 'options=-c%20search_path%3D<schema> selects a schema',
  currentSchema: 'options=-c%20search_path%3D<schema> selects a schema',
  connection_limit: 'DATABASE_POOL_SIZE has the number of connections',
  pool_size: 'DATABASE_POOL_SIZE has the number of connections',
  pgbouncer: 'DATABASE_PREPARE=false is for poolers',
  target_session_attrs: 'one host is connected to',
}

/** @returns errors, each the end of a sentence that begins with the variable; never containing a value */
export function postgresUrlFaults(text: string | undefined): string[] {
  if (text === undefined) return []
  if (!isReadable(text)) {
    return [
      'must be a postgres:// or postgresql:// URL; in a password, / is %2F, ? is %3F, # is %23, % is %25',
    ]
  }
  const { hash, hostname, searchParams } = new URL(readable(text))
  if (hash) return ['must not have a fragment; in a password, # is %23']
  if (hostname.includes(',')) return ['must name one host']
  const names = [...searchParams.keys()]
  const repeated = names.find((name, index) => names.indexOf(name) !== index)
  if (repeated !== undefined) return [`must not have the parameter ${shown(repeated)} twice`]
  const faults = [...searchParams].flatMap(([name, value]) => {
    const known = Object.hasOwn(parameters, name) ? parameters[name] : undefined
    if (known?.test.test(value)) return []
    if (known) return [`has a parameter ${name} that must be ${known.takes}`]
    const hint = Object.hasOwn(elsewhere, name) ? elsewhere[name] : undefined
    return [`has an unknown parameter ${shown(name)}${hint ? `: ${hint}` : ''}; see docs/configuration.md`]
  })
  return faults.length > 0 ? faults : tlsFaults(searchParams)
}

/** Combinations that the driver would misread. */
function tlsFaults(searchParams: URLSearchParams): string[] {
  const mode = searchParams.get('sslmode')
  const file = ['sslrootcert', 'sslcert', 'sslkey'].find((name) => searchParams.has(name))
  const isOff = mode === 'disable' || (mode === null && !file && !searchParams.has('ssl'))
  if (searchParams.has('ssl') && mode !== null) return ['must have ssl or sslmode, not both']
  if (mode === 'disable' && file) return [`has ${file}, and sslmode=disable`]
  if (isOff && searchParams.get('sslnegotiation') === 'direct') {
    return ['has sslnegotiation=direct, which needs sslmode=verify-full']
  }
  if (mode === 'no-verify' && searchParams.has('sslrootcert')) {
    return ['has sslrootcert, and sslmode=no-verify, which checks no certificate']
  }
  if (searchParams.get('uselibpqcompat') !== 'true') return []
  return mode === 'verify-ca' && !searchParams.has('sslrootcert')
    ? ['has uselibpqcompat=true and sslmode=verify-ca, which need sslrootcert']
    : []
}

/**
 * The URL as passed to the driver. It treats `prefer`, `require` and `verify-ca` as `verify-full` and announces that a
 * later version will not: pinned here.
 */
export function pinnedTls(text: string): string {
  if (/[?&]uselibpqcompat=true/.test(text)) return text
  return text.replace(/([?&]sslmode=)(prefer|require|verify-ca)(?=&|$)/, '$1verify-full')
}

/** An unusual name may be part of a password with an unencoded `?`, so it is not printed. */
function shown(name: string): string {
  return /^[A-Za-z_]{1,40}$/.test(name) ? name : 'with an unusual name'
}

/** As the driver reads it: it encodes spaces and stray `%`, and accepts a user without a host. */
function readable(text: string): string {
  const isPlain = / |%[^a-f0-9]|%[a-f0-9][^a-f0-9]/i.test(text)
  const encoded = isPlain ? encodeURI(text).replace(/%25(\d\d)/g, '%$1') : text
  return [encoded, encoded.replace('@/', '@socket/')].find((each) => URL.canParse(each)) ?? ''
}

/** The driver would throw, without naming the variable. */
function isReadable(text: string): boolean {
  if (!/^postgres(ql)?:\/\//.test(text) || readable(text) === '') return false
  const { username, password, hostname, pathname } = new URL(readable(text))
  return [username, password, hostname, pathname].every(isDecodable)
}

export function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}
