import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import { newValues, type Values } from '../../src/owned/item.ts'
import { insertWithinQuota } from '../../src/owned/quota.ts'
import type { Resource } from '../../src/owned/resource.ts'
import type { OwnerId } from '../../src/tokens/owner.ts'
import { password, problemOf, type TestUser, twoUsers } from '../helper.ts'
import { exampleOfResource, filterValues } from './examples.ts'
import { post, tokenTo } from './mailbox.ts'

const forbidden = { status: 403, code: 'not_owner' }

/**
 * The tests that every resource passes: that its owner can do what the declaration promises, and nobody else.
 * @param example the body of a creation; by default the examples of the fields
 */
export function testOwnedResource(resource: Resource, example: Values = exampleOfResource(resource)): void {
  const { name, scopes, problems, filters, tables } = resource
  const notFound = { status: 404, code: problems.notFound }
  const listOf = (user: TestUser) => `/api/${user.id}/${name}`
  const create = (user: TestUser, headers = {}) => user.call('POST', listOf(user), example, { headers })
  const idsOf = async (user: TestUser, query = ''): Promise<number[]> =>
    (await user.call('GET', `${listOf(user)}${query}`)).json().map(({ id }: { id: number }) => id)

  t.test(`${name}: created, listed, read, changed and deleted by the owner`, async (t) => {
    const { alice } = await twoUsers(t)
    const created = await create(alice)
    t.equal(created.statusCode, 201)
    const item = created.json()
    t.match(item, { ...example, user_id: alice.id })
    const url = `${listOf(alice)}/${item.id}`
    t.match(created.headers, { location: url, etag: '"1"' })
    t.same((await alice.call('GET', listOf(alice))).json(), [item])
    t.same((await alice.call('GET', url)).json(), item)
    for (const [method, etag] of [
      ['PUT', '"2"'],
      ['PATCH', '"3"'],
    ] as const) {
      const changed = await alice.call(method, url, example)
      t.match(changed.json(), { ...item, updated_at: String })
      t.equal(changed.headers.etag, etag)
    }
    const stale = await alice.call('PATCH', url, example, { headers: { 'if-match': '"1"' } })
    t.match(problemOf(stale), { status: 412, code: 'precondition_failed' })
    t.equal((await alice.call('DELETE', url)).statusCode, 204)
    for (const [method, body] of [['GET'], ['PUT', example], ['PATCH', example], ['DELETE']] as const)
      t.match(problemOf(await alice.call(method, url, body)), notFound, method)
  })

  t.test(`${name}: nobody else reads, lists, changes or deletes one, under either path`, async (t) => {
    const { app, alice, bob } = await twoUsers(t)
    const item = (await create(alice)).json()
    const hers = `${listOf(alice)}/${item.id}`
    const his = `${listOf(bob)}/${item.id}`
    for (const [method, body] of [['GET'], ['PUT', example], ['PATCH', example], ['DELETE']] as const) {
      t.match(problemOf(await bob.call(method, hers, body)), forbidden, method)
      t.match(problemOf(await bob.call(method, his, body)), notFound, method)
      const anonymous = await app.inject({ method, url: hers, ...(body ? { payload: body } : {}) })
      t.equal(anonymous.statusCode, 401, method)
    }
    t.match(problemOf(await bob.call('GET', listOf(alice))), forbidden)
    t.match(problemOf(await bob.call('POST', listOf(alice), example)), forbidden)
    t.match(problemOf(await bob.call('POST', listOf(bob), { ...example, user_id: alice.id })), {
      status: 400,
    })
    t.same(await idsOf(bob), [])
    t.same((await alice.call('GET', hers)).json(), item, 'nothing has changed')
  })

  t.test(`${name}: an API key needs the scope of the route`, async (t) => {
    const { app, alice, bob } = await twoUsers(t)
    const wanted = { name: 'x', scopes: [scopes.read], expires_in_days: 1 }
    const { key } = (await alice.call('POST', '/api/auth/keys', wanted)).json()
    const byKey = (method: 'GET' | 'POST', user: TestUser) =>
      app.inject({
        method,
        url: listOf(user),
        headers: { authorization: `Bearer ${key}` },
        ...(method === 'POST' ? { payload: example } : {}),
      })
    t.equal((await byKey('GET', alice)).statusCode, 200)
    t.match(problemOf(await byKey('POST', alice)), { status: 403, code: 'insufficient_scope' })
    t.match(problemOf(await byKey('GET', bob)), forbidden)
  })

  t.test(`${name}: pages in order of id, and what a list is narrowed by`, async (t) => {
    const { alice, bob } = await twoUsers(t)
    const ids: number[] = []
    for (const user of [alice, bob, alice, alice]) {
      const { id } = (await create(user)).json()
      if (user === alice) ids.push(id)
    }
    const first = await alice.call('GET', `${listOf(alice)}?limit=2`)
    const [, next = ''] = /^<(.*)>; rel="next"$/.exec(String(first.headers.link)) ?? []
    const second = await alice.call('GET', next)
    t.same(
      [...first.json(), ...second.json()].map(({ id }) => id),
      ids,
    )
    t.equal(second.headers.link, undefined)
    for (const filter of filters) {
      const [one, other] = filterValues(filter)
      await alice.call('PATCH', `${listOf(alice)}/${ids[0]}`, { [filter.name]: one })
      for (const id of ids.slice(1))
        await alice.call('PATCH', `${listOf(alice)}/${id}`, { [filter.name]: other })
      t.same(await idsOf(alice, `?${filter.name}=${one}`), ids.slice(0, 1), filter.name)
      t.same(await idsOf(alice, `?${filter.name}=${other}`), ids.slice(1), filter.name)
    }
  })

  t.test(`${name}: one creation for an Idempotency-Key, and none past the limit`, async (t) => {
    const { app, alice, bob } = await twoUsers(t)
    const keyed = { 'idempotency-key': randomUUID() }
    const first = await create(alice, keyed)
    const again = await create(alice, keyed)
    t.same([again.statusCode, again.json(), again.headers.etag], [201, first.json(), first.headers.etag])
    t.equal((await create(bob, keyed)).json().user_id, bob.id, 'the key of another user is another one')
    t.equal((await idsOf(alice)).length, 1)
    const values = newValues(resource.fields, example)
    const add = (max: number) => insertWithinQuota(resource, app.db, alice.id as OwnerId, values, max)
    await t.rejects(add(1), { code: problems.limitReached })
    await t.resolves(add(2))
    await t.resolves(add(10_000))
    t.equal((await idsOf(alice)).length, 3)
  })

  t.test(`${name}: gone with the account, and when its address is claimed by its owner`, async (t) => {
    const { app, alice, bob } = await twoUsers(t)
    for (const user of [alice, bob]) await create(user)
    const owners = async () => {
      const { rows } = await sql<{ user_id: string }>`select user_id from ${sql.table(name)}`.execute(app.db)
      return rows.map(({ user_id: id }) => id)
    }
    t.same((await owners()).sort(), [alice.id, bob.id].sort())
    await alice.call('POST', '/api/auth/me/delete', { password })
    t.same(await owners(), [bob.id])
    await post(app, 'password/forgot', { email: bob.email })
    const token = await tokenTo(app, bob.email)
    await post(app, 'password/reset', { token, new_password: 'another battery staple' })
    t.same(await owners(), [])
    for (const table of tables) {
      const cascade = await sql`select 1 from pg_constraint where contype = 'f' and confdeltype = 'c'
        and conrelid = ${table}::regclass and confrelid = 'users'::regclass`.execute(app.db)
      t.equal(cascade.rows.length, 1, `${table} is deleted with the user`)
    }
  })
}
