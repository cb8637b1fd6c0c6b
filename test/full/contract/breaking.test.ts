import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  announcedVersion,
  assertNoSurprise,
  changesBetween,
  mayBreak,
  released,
} from '../../support/breaking.ts'
import { contract } from '../../support/contract-file.ts'

t.test('openapi.yaml breaks no client of the last release, unless CHANGELOG.md announces it', async (t) => {
  await t.resolves(assertNoSurprise(released, 'openapi.yaml', readFileSync('CHANGELOG.md', 'utf8')))
})

/** A JSON pointer (RFC 6901), its new value (undefined removes it), and the message expected. */
type Change = readonly [pointer: string, value: unknown, message?: RegExp]

function apply(document: object, [pointer, value]: Change): void {
  const names = pointer.split('/').map((name) => name.replaceAll('~1', '/'))
  const last = names.pop() ?? ''
  const parent = names
    .slice(1)
    .reduce((node, name) => node[name] as Record<string, unknown>, document as Record<string, unknown>)
  if (value === undefined) delete parent[last]
  else if (Array.isArray(parent)) parent.push(value)
  else parent[last] = value
}

/** Two files: the contract, and the contract with changes. */
function changed(t: Test, changes: readonly Change[]): [string, string] {
  const after = structuredClone(contract())
  for (const change of changes) apply(after, change)
  const folder = t.testdir({ 'before.json': JSON.stringify(contract()), 'after.json': JSON.stringify(after) })
  return [join(folder, 'before.json'), join(folder, 'after.json')]
}

const me = '/paths/~1api~1auth~1me/get'
const query = '/paths/~1gateway~1revocations/get/parameters/-'
const schemas = '/components/schemas'
const due = { type: 'string' }

const breaking: readonly Change[] = [
  ['/paths/~1health~1live', undefined, /Path `\/health\/live` was removed/],
  ['/paths/~1api~1auth~1me/patch', undefined, /me\/patch: .* removed/],
  ['/paths/~1health~1ready/get/operationId', 'isReady', /operationId/i],
  [`${me}/responses/200`, undefined, /me\/get\/responses\/200: .* removed/],
  [query, { name: 'team', in: 'query', required: true, schema: due }, /team/],
  [`${schemas}/LogOut/required`, ['scope'], /requestBody.*`scope`/],
  [`${schemas}/CreateKey/properties/name/maxLength`, 50, /maxLength/],
  [
    `${schemas}/ChangePassword/properties/end_keys`,
    undefined,
    /requestBody.*`end_keys` of `ChangePassword` was removed/,
  ],
  [`${schemas}/ApiKey/required`, ['id', 'name', 'scopes', 'created_at'], /responses.*`expires_at`/],
  [`${schemas}/ApiKey/properties/scopes`, undefined, /responses.*`scopes` of `ApiKey` was removed/],
  [`${schemas}/ApiKey/properties/id/type`, 'integer', /properties\/id: /],
  [`${schemas}/LogOut/properties/scope/enum`, ['current', 'others'], /`scope` lost values: 'all'/],
  [`${schemas}/Session/properties/token_type/enum/-`, 'DPoP', /`token_type` gained values: 'DPoP'/],
]

t.test('breaking changes are found', async (t) => {
  const files = changed(t, breaking)
  const { base, breaks } = await changesBetween(...files)
  for (const [pointer, , message] of breaking) {
    const found = breaks.find((text) => message?.test(text))
    t.match(found, message, pointer)
  }

  const announcing = (version: string) =>
    assertNoSurprise(...files, `# Changelog\n\n## [${version}] - 2026-12-24\n`)
  await t.rejects(announcing(base), /breaks clients of .*\/health\/live/s)
  await t.resolves(announcing('1.0.0'))
})

t.test('additions and descriptions are not breaking', async (t) => {
  const operation = { ...contract().paths?.['/health/live']?.get, operationId: 'getNew' }
  const refusal = contract().paths?.['/api/auth/me']?.get?.responses?.['401']
  const files = changed(t, [
    ['/info/description', 'Another one'],
    ['/paths/~1new', { get: operation }],
    [
      `${me}/responses/401/content/application~1problem+json/schema/allOf/1/properties/code/enum/-`,
      'a_new_code',
    ],
    [`${schemas}/Problem/properties/code/enum/-`, 'a_new_code'],
    [`${me}/responses/410`, refusal],
    [query, { name: 'team', in: 'query', schema: due }],
    [`${schemas}/CreateKey/properties/due`, due],
    [`${schemas}/CreateKey/properties/name/maxLength`, 300],
    [`${schemas}/LogOut/properties/scope/enum/-`, 'idle'],
    [`${schemas}/ApiKey/properties/due`, due],
    [`${schemas}/ApiKey/required/-`, 'due'],
    [`${schemas}/ApiKey/properties/name/examples`, ['Daily export']],
  ])
  t.same((await changesBetween(...files)).breaks, [])
})

t.test('only a major version, or a minor one of 0, may be breaking', async (t) => {
  t.equal(announcedVersion('## [Unreleased]\n\nWhat 0.1.0 will be; x\n'), '0.1.0')
  t.equal(announcedVersion('## [Unreleased]\n\n- x\n\n## [1.2.0] - 2026-12-24\n\n## [1.1.0]'), '1.2.0')
  t.throws(() => announcedVersion('## [Unreleased]\n\n- x\n'), /names no version/)
  for (const [base, next] of [
    ['0.1.0', '0.2.0'],
    ['0.9.1', '1.0.0'],
    ['1.4.0', '2.0.0'],
  ] as const)
    t.ok(mayBreak(base, next))
  for (const [base, next] of [
    ['0.1.0', '0.1.0'],
    ['0.1.0', '0.1.1'],
    ['1.0.0', '1.1.0'],
    ['1.0.0', '0.2.0'],
  ] as const)
    t.notOk(mayBreak(base, next))
})
