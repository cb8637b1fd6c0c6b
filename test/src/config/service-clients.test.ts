import t from 'tap'
import { load, refusal } from '../../support/load-config.ts'
import { digestOf } from '../../support/service-client.ts'

const entry = { id: 'gateway', secret_sha256: digestOf('a'), scopes: ['introspect'] }
const list = (...entries: unknown[]) => ({ SERVICE_CLIENTS: JSON.stringify(entries) })

t.test('SERVICE_CLIENTS: clients, with one secret or two, and any scopes', async (t) => {
  t.same(load().serviceClients, [], 'none by default')
  const both = [digestOf('a'), digestOf('b')]
  t.same(load(list(entry, { id: 'b-2', secret_sha256: both, scopes: [] })).serviceClients, [
    { id: 'gateway', secretSha256: [digestOf('a')], scopes: ['introspect'] },
    { id: 'b-2', secretSha256: both, scopes: [] },
  ])
  t.equal(load({ SERVICE_CLIENTS: JSON.stringify([entry], null, 2) }).serviceClients.length, 1, 'many lines')
})

t.test('a faulty entry stops the start with its place, and no secret', async (t) => {
  const digest = 'must be the lower-case hex SHA-256 of a secret, or a list of one or two of them'
  const scope = 'must be a lower-case letter, and at most 63 of a-z, 0-9, :, ., _ and - after it'
  const id = 'must be a lower-case letter, and at most 62 of a-z, 0-9 and - after it'
  const scopes = 'must be a list of at most 64 different scopes'
  const refused: [unknown, string][] = [
    [{ ...entry, id: undefined }, `[0].id ${id}`],
    [{ ...entry, id: 'Gateway' }, `[0].id ${id}`],
    [{ ...entry, id: 'client_a' }, `[0].id ${id}`],
    [{ ...entry, id: 'a\n' }, `[0].id ${id}`],
    [{ ...entry, id: 'a'.repeat(64) }, `[0].id ${id}`],
    [{ ...entry, secret_sha256: 'hunter2' }, `[0].secret_sha256 ${digest}`],
    [{ ...entry, secret_sha256: digestOf('a').toUpperCase() }, `[0].secret_sha256 ${digest}`],
    [{ ...entry, secret_sha256: [] }, `[0].secret_sha256 ${digest}`],
    [{ ...entry, secret_sha256: ['1', '2', '3'].map(digestOf) }, `[0].secret_sha256 ${digest}`],
    [{ ...entry, secret_sha256: digestOf('') }, '[0].secret_sha256 must not be the one of an empty secret'],
    [{ ...entry, scopes: undefined }, `[0].scopes ${scopes}`],
    [{ ...entry, scopes: 'introspect' }, `[0].scopes ${scopes}`],
    [{ ...entry, scopes: ['a', 'a'] }, `[0].scopes ${scopes}`],
    [{ ...entry, scopes: Array.from({ length: 65 }, (_, n) => `s${n}`) }, `[0].scopes ${scopes}`],
    [{ ...entry, scopes: ['a', 'Admin Write'] }, `[0].scopes[1] ${scope}`],
    [{ ...entry, hunter2: 'hunter2' }, '[0] must have no other members than id, secret_sha256 and scopes'],
    ['hunter2', '[0] must be an object of id, secret_sha256 and scopes'],
  ]
  for (const [wrong, message] of refused) t.equal(refusal(list(wrong)), `SERVICE_CLIENTS${message}`)
  t.equal(refusal(list(entry, entry)), 'SERVICE_CLIENTS[1].id must not be that of another entry')
  for (const text of ['hunter2', '{}', '[', '[{"id":"a","id":"b"}]']) {
    t.equal(refusal({ SERVICE_CLIENTS: text }), 'SERVICE_CLIENTS must be a JSON list of at most 1000 clients')
  }
})
