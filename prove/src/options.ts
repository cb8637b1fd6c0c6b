import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { CannotProve } from './refusal.ts'

export const usage = `Usage: latchkey-prove <openapi.yaml|url> --base-url URL --user A_TOKEN --user B_TOKEN [options]

Proves at a running service that user A's data is out of reach of user B, of requests
without a token and of forged tokens.

  --base-url URL        where the service is; with a path, it replaces the path of the document's server
  --user TOKEN          access token of user A, then of user B
  --user-file FILE      the same from a file; or in LATCHKEY_PROVE_USER_A and LATCHKEY_PROVE_USER_B
  --owner ID            id of A, then of B, in the path; default: "sub" of the tokens
  --owner-param NAME    the path parameter that is the owner; default: user_id, in any spelling
  --param NAME=VALUE    a path parameter that cannot be found or created; A.NAME, B.NAME: for one user
  --skip PATTERN        operations to exclude, such as "DELETE /api/*"; may be repeated
  --destructive         lets A and B delete on their own paths what the run has not created
  --strict              exit 2 unless every operation is proven
  --json FILE           write a report for programs
  --junit FILE          write a report for CI
  --timeout SECONDS     for one request; default 10
  --max-wait SECONDS    longest wait for a 429 or 503; default 60
  --help, --version

Exit: 0 sound, 1 a hole, 2 nothing proven.
`

export interface Options {
  readonly source: string
  readonly baseUrl: URL
  readonly tokens: readonly [string, string]
  readonly owners: readonly [string, string] | undefined
  readonly ownerParam: string | undefined
  readonly params: ReadonlyMap<string, string>
  readonly skip: readonly string[]
  readonly destructive: boolean
  readonly strict: boolean
  readonly json: string | undefined
  readonly junit: string | undefined
  readonly timeoutMs: number
  readonly maxWaitMs: number
}

const flags = {
  'base-url': { type: 'string' },
  user: { type: 'string', multiple: true },
  'user-file': { type: 'string', multiple: true },
  owner: { type: 'string', multiple: true },
  'owner-param': { type: 'string' },
  param: { type: 'string', multiple: true },
  skip: { type: 'string', multiple: true },
  destructive: { type: 'boolean' },
  strict: { type: 'boolean' },
  json: { type: 'string' },
  junit: { type: 'string' },
  timeout: { type: 'string' },
  'max-wait': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: flags, allowPositionals: true })
  } catch (error) {
    // The message repeats an argument only where it is the name of an option.
    const { code = '' } = error as NodeJS.ErrnoException
    if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION')
      throw new CannotProve(
        `unknown option ${/'(--?[a-z-]+)/.exec((error as Error).message)?.[1] ?? ''}`.trim(),
      )
    throw new CannotProve('an option lacks its value, or has one that it does not take')
  }
}

/**
 * The options of a command line and the environment; `help` and `version` where these were asked for.
 * @throws CannotProve that contains no token
 */
export async function readOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<Options | 'help' | 'version'> {
  const { values, positionals } = parsed(args)
  if (values.help) return 'help'
  if (values.version) return 'version'
  const [source, ...others] = positionals
  if (source === undefined) throw new CannotProve('the OpenAPI document is missing')
  if (others.length > 0)
    throw new CannotProve('there is more than one document; an option takes one value each time')
  if (/^https?:/i.test(source)) urlOf(source, 'the URL of the document')
  if (values['base-url'] === undefined) throw new CannotProve('--base-url is missing')
  return {
    source,
    baseUrl: urlOf(values['base-url'], '--base-url'),
    tokens: await tokensOf(values.user ?? [], values['user-file'] ?? [], env),
    owners: ownersOf(values.owner),
    ownerParam: values['owner-param']?.replace(/^\{(.*)\}$/, '$1'),
    params: new Map((values.param ?? []).map(paramOf)),
    skip: values.skip ?? [],
    destructive: values.destructive ?? false,
    strict: values.strict ?? false,
    json: values.json,
    junit: values.junit,
    timeoutMs: secondsOf(values.timeout, 10, '--timeout'),
    maxWaitMs: secondsOf(values['max-wait'], 60, '--max-wait'),
  }
}

function urlOf(text: string, name: string): URL {
  if (!URL.canParse(text)) throw new CannotProve(`${name} is no URL`)
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new CannotProve(`${name} is not http or https`)
  if (url.username !== '' || url.password !== '') throw new CannotProve(`${name} must not contain a password`)
  url.hash = ''
  return url
}

async function tokensOf(
  given: readonly string[],
  files: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly [string, string]> {
  const inEnv = [env['LATCHKEY_PROVE_USER_A'], env['LATCHKEY_PROVE_USER_B']].filter(
    (token) => token !== undefined,
  )
  const read = await Promise.all(files.map(tokenIn))
  const all = given.length + read.length > 0 ? [...given, ...read] : inEnv
  const [a, b, ...more] = all.map((token) => token.trim().replace(/^Bearer\s+/i, ''))
  if (a === undefined || b === undefined || more.length > 0)
    throw new CannotProve(
      'two tokens are needed, of user A and of user B: --user or --user-file twice, or LATCHKEY_PROVE_USER_A and LATCHKEY_PROVE_USER_B',
    )
  const invalid = [a, b].findIndex((token) => !/^[\x21-\x7E]{4,16000}$/.test(token))
  if (invalid >= 0) throw new CannotProve(`the token of user ${invalid === 0 ? 'A' : 'B'} is invalid`)
  return [a, b]
}

async function tokenIn(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new CannotProve(`cannot read ${file}: ${error.code}`)
  })
}

function ownersOf(given: readonly string[] | undefined): readonly [string, string] | undefined {
  if (given === undefined) return undefined
  const [a, b, ...more] = given
  if (!a || !b || more.length > 0)
    throw new CannotProve('--owner is needed twice: the id of user A, then of user B')
  return [a, b]
}

function paramOf(text: string): [string, string] {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? []
  if (name === undefined || value === undefined) throw new CannotProve('--param needs NAME=VALUE')
  return [name, value]
}

function secondsOf(text: string | undefined, standard: number, name: string): number {
  const seconds = text === undefined ? standard : Number(text)
  if (!(seconds > 0 && seconds <= 3_600))
    throw new CannotProve(`${name} must be a number of seconds, up to 3600`)
  return seconds * 1000
}
