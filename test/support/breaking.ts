import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The contract of the last release; before the first one, its draft. */
export const released = 'test/contract/released.yaml'

/** Not in the root: openapi-typescript would read it too, with an older core without diff. */
const config = 'test/contract/redocly.yaml'

interface Comparison {
  readonly infoVersions: { readonly base: string }
  readonly changes: readonly {
    readonly path: string
    readonly verdicts: readonly {
      readonly ruleId: string
      readonly impact: string
      readonly message: string
    }[]
  }[]
}

export interface Changes {
  /** The version of the document compared with. */
  readonly base: string
  /** Breaking changes: where, and what. */
  readonly breaks: readonly string[]
}

/** Compares two documents with `redocly diff`. */
export async function changesBetween(base: string, revision: string): Promise<Changes> {
  const { infoVersions, changes } = JSON.parse(await redoclyDiff(base, revision)) as Comparison
  const breaks = changes.flatMap(({ path, verdicts }) =>
    verdicts
      .filter(({ ruleId, impact }) => impact === 'major' && !isNewCode(ruleId, path))
      .map(({ message }) => `${path.replace('#/paths/', '').replaceAll('~1', '/')}: ${message}`),
  )
  return { base: infoVersions.base, breaks }
}

/** Clients treat an unknown code like its status (docs/errors.md), so a new one is not breaking. */
function isNewCode(ruleId: string, path: string): boolean {
  return (
    ruleId === 'enum-values-added' &&
    /\/responses\/[45]\d\d\/content\/application~1(problem\+)?json\/.*\/properties\/code$/.test(path)
  )
}

/** @returns JSON */
async function redoclyDiff(base: string, revision: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-diff-'))
  try {
    const output = join(folder, 'diff.json')
    const args = [
      'diff',
      base,
      revision,
      '--format=json',
      '--fail-on=none',
      `--config=${config}`,
      `--output=${output}`,
    ]
    await new Promise<void>((resolve, reject) => {
      const { PATH, HOME } = process.env
      const env = { PATH, HOME, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }
      execFile('node_modules/.bin/redocly', args, { env }, (error, _, stderr) =>
        error ? reject(new Error(`redocly diff: ${stderr}`)) : resolve(),
      )
    })
    return readFileSync(output, 'utf8')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The version in the changelog: its newest numbered heading, or the one that Unreleased announces. */
export function announcedVersion(changelog: string): string {
  const found = /^(?:## \[|What )(\d+\.\d+\.\d+)(?:\]| will be)/m.exec(changelog)?.[1]
  if (!found) throw new Error('CHANGELOG.md names no version')
  return found
}

/** Whether a version may be breaking by SemVer: a new major, or a new minor of 0. */
export function mayBreak(base: string, next: string): boolean {
  const [major = 0, minor = 0] = base.split('.').map(Number)
  const [nextMajor = 0, nextMinor = 0] = next.split('.').map(Number)
  return nextMajor > major || (major === 0 && nextMajor === 0 && nextMinor > minor)
}

/** @throws Error with each breaking change that CHANGELOG.md does not announce */
export async function assertNoSurprise(base: string, revision: string, changelog: string): Promise<void> {
  const changes = await changesBetween(base, revision)
  const next = announcedVersion(changelog)
  if (changes.breaks.length === 0 || mayBreak(changes.base, next)) return
  throw new Error(
    [
      `The contract breaks clients of ${changes.base}, and CHANGELOG.md announces ${next}:`,
      ...changes.breaks,
    ].join('\n  '),
  )
}

if (import.meta.filename === process.argv[1]) {
  await assertNoSurprise(released, 'openapi.yaml', readFileSync('CHANGELOG.md', 'utf8'))
}
