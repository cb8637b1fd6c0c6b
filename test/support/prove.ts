import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { run } from '../../prove/src/command.ts'
import type { Test } from './postgres.ts'

export interface Proved {
  /** Exit code. */
  readonly code: number
  readonly out: string
  readonly err: string
  /** The reports as they were written; null where there is none. */
  readonly json: {
    readonly verdict: string
    readonly summary: string
    readonly counts: Readonly<Record<string, number>>
    readonly findings: readonly object[]
    readonly operations: readonly {
      readonly operation: string
      readonly verdict: string
      readonly reasons: readonly string[]
      readonly own: Readonly<Record<'A' | 'B', number | null>>
      readonly probes: readonly {
        readonly kind: string
        readonly method: string
        readonly named_in: string | null
        readonly status: number
        readonly verdict: string
      }[]
    }[]
    readonly left_behind: readonly string[]
  }
  readonly junit: string
}

export interface Target {
  /** A document, or the path or URL of one. */
  readonly document: object | string
  readonly url: string
  /** Of A and B. */
  readonly tokens: readonly [string, string]
  readonly args?: readonly string[]
}

/** Runs latchkey-prove as from the command line, and fails if a token is in anything that it wrote. */
export async function proved(
  t: Test & { fail: (text: string) => unknown; testdir: () => string },
  target: Target,
): Promise<Proved> {
  const { document, url, tokens, args = [] } = target
  const folder = t.testdir()
  const [file, json, junit] = ['openapi.json', 'report.json', 'report.xml'].map((name) =>
    join(folder, name),
  ) as [string, string, string]
  if (typeof document === 'object') writeFileSync(file, JSON.stringify(document))
  let [out, err] = ['', '']
  const code = await run(
    [
      typeof document === 'object' ? file : document,
      `--base-url=${url}`,
      `--json=${json}`,
      `--junit=${junit}`,
      ...args,
    ],
    {
      env: { LATCHKEY_PROVE_USER_A: tokens[0], LATCHKEY_PROVE_USER_B: tokens[1] },
      out: (text) => {
        out += text
      },
      err: (text) => {
        err += text
      },
    },
  )
  const written = { json: readFileSync(json, 'utf8'), junit: readFileSync(junit, 'utf8') }
  const parts = tokens.flatMap((token) => [token, ...token.split('.').slice(1)]).filter((part) => part !== '')
  for (const text of [out, err, written.json, written.junit])
    if (parts.some((part) => text.includes(part))) t.fail('a token was written')
  return { code, out, err, json: JSON.parse(written.json), junit: written.junit }
}

/** The operations that are reported as holes. */
export const holesOf = ({ json }: Proved) =>
  json.operations.filter(({ verdict }) => verdict === 'hole').map(({ operation }) => operation)

/** The kinds of probe that found a hole, once each. */
export const kindsOf = ({ json }: Proved) => [
  ...new Set(
    json.operations.flatMap(({ probes }) =>
      probes
        .filter(({ verdict }) => verdict === 'hole')
        .map(({ kind, named_in }) => (named_in === null ? kind : `${kind} in ${named_in}`)),
    ),
  ),
]

/** Serves on a free port until the test ends, and returns the URL. */
export async function served(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
