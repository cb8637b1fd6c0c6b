import t, { type Test } from 'tap'
import { problemOf, type TestUser, twoUsers } from '../../helper.ts'

const failed = { status: 412, code: 'precondition_failed' }

/** Creates a task and changes it once. @returns its path */
async function atVersionTwo(user: TestUser): Promise<string> {
  const { location } = (await user.call('POST', user.tasks, { title: 'first' })).headers
  await user.call('PATCH', location as string, { title: 'second' })
  return location as string
}

async function taskAtVersionTwo(t: Test) {
  const { alice, bob } = await twoUsers(t)
  return { alice, bob, url: await atVersionTwo(alice) }
}

const send = (user: TestUser, method: string, url: string, headers: Record<string, string>) =>
  user.call(method, url, method === 'PUT' || method === 'PATCH' ? { completed: true } : undefined, {
    headers,
  })

const compressed = ['W/"2"', '"2-gzip"', '"2-br"', '"2-zstd"', '"2-deflate"', '"2--gzip"', 'W/"2-gzip"']

t.test('If-Match accepts an ETag that a compressing gateway has changed', async (t) => {
  const { alice, bob } = await twoUsers(t)
  for (const method of ['PUT', 'PATCH', 'DELETE']) {
    for (const tag of compressed) {
      const url = await atVersionTwo(alice)
      t.equal((await send(bob, method, url, { 'if-match': tag })).statusCode, 403)
      const stale = await send(alice, method, url, { 'if-match': tag.replace('2', '1') })
      t.match(problemOf(stale), failed, `${method} ${tag}`)
      const current = await send(alice, method, url, { 'if-match': tag })
      t.equal(current.statusCode, method === 'DELETE' ? 204 : 200, `${method} ${tag}`)
      if (method !== 'DELETE') t.equal(current.headers.etag, '"3"')
    }
  }
})

t.test('If-None-Match: * changes no existing task, by any method', async (t) => {
  const { alice, bob, url } = await taskAtVersionTwo(t)
  const before = (await alice.call('GET', url)).json()
  for (const value of ['*', ' * ', '*, *', '"9", *', '"2"', 'W/"2"', '"2-gzip"', '"1", "2"', '"a,b", "2"']) {
    for (const method of ['PUT', 'PATCH', 'DELETE']) {
      const answer = await send(alice, method, url, { 'if-none-match': value })
      t.match(problemOf(answer), failed, `${method} ${value}`)
      t.equal((await send(bob, method, url, { 'if-none-match': value })).statusCode, 403)
    }
  }
  t.same((await alice.call('GET', url)).json(), before, 'nothing was done')
  for (const method of ['PUT', 'PATCH', 'DELETE']) {
    const answer = await send(alice, method, `${alice.tasks}/999`, { 'if-none-match': '*' })
    t.match(
      problemOf(answer),
      { status: 404, code: 'task_not_found' },
      `${method} of a task that does not exist`,
    )
  }
  for (const value of ['"1"', '"3-gzip", "9"', '""', '"other"']) {
    t.equal((await send(alice, 'PATCH', url, { 'if-none-match': value })).statusCode, 200, value)
    t.equal((await alice.call('PATCH', url, { title: 'x' })).statusCode, 200)
  }
  t.equal((await send(alice, 'DELETE', url, { 'if-none-match': '"2"' })).statusCode, 204)
})

t.test('GET and HEAD with the current ETag: 304, with the ETag and without a body', async (t) => {
  const { alice, bob, url } = await taskAtVersionTwo(t)
  for (const method of ['GET', 'HEAD']) {
    for (const value of ['*', '"2"', ...compressed, '"1", "2"', '"1","9",W/"2-br"']) {
      const answer = await send(alice, method, url, { 'if-none-match': value })
      t.equal(answer.statusCode, 304, `${method} ${value}`)
      t.equal(answer.headers.etag, '"2"')
      t.equal(answer.body, '')
      t.notOk(answer.headers['content-type'])
      t.equal(
        (await send(bob, method, url, { 'if-none-match': value })).statusCode,
        403,
        'the guard comes first',
      )
    }
    for (const value of ['"1"', '"22"', '"2-other"', '2', '"2', '', ',', '"02"', '"2.0"', "'2'"]) {
      t.equal(
        (await send(alice, method, url, { 'if-none-match': value })).statusCode,
        200,
        `${method} ${value}`,
      )
    }
    t.equal((await send(alice, method, `${alice.tasks}/999`, { 'if-none-match': '*' })).statusCode, 404)
  }
})

t.test('both headers: If-Match is evaluated first', async (t) => {
  const { alice, url } = await taskAtVersionTwo(t)
  const both = (ifMatch: string, ifNoneMatch: string) => ({
    'if-match': ifMatch,
    'if-none-match': ifNoneMatch,
  })
  for (const method of ['GET', 'HEAD']) {
    const status = async (headers: Record<string, string>) =>
      (await send(alice, method, url, headers)).statusCode
    t.equal(await status(both('"1"', '"2"')), 412, 'not 304')
    t.equal(await status(both('"2"', '"2"')), 304)
    t.equal(await status(both('*', '"1"')), 200)
    t.equal(await status({ 'if-match': '"1"' }), 412)
    t.equal(await status({ 'if-match': '"1", W/"2-gzip"' }), 200)
  }
  for (const method of ['PUT', 'PATCH', 'DELETE']) {
    t.match(problemOf(await send(alice, method, url, both('"2"', '"2"'))), failed)
    t.match(problemOf(await send(alice, method, url, both('"1"', '"9"'))), failed)
    t.match(problemOf(await send(alice, method, url, both('*', '*'))), failed)
  }
  t.equal((await send(alice, 'PATCH', url, both('"2"', '"1"'))).headers.etag, '"3"')
  t.equal((await send(alice, 'DELETE', url, both('*', '"2"'))).statusCode, 204)
})

t.test('If-Match refuses a value without a version, and a too long list', async (t) => {
  const { alice, url } = await taskAtVersionTwo(t)
  for (const value of [
    '"1"',
    '2',
    '',
    '"2',
    '"2" "3"',
    '*, *',
    '"9", *',
    '"2-gzipped"',
    '"-gzip"',
    'w/"2"',
    '"0"',
  ]) {
    t.match(problemOf(await send(alice, 'PATCH', url, { 'if-match': value })), failed, value)
  }
  const many = Array.from({ length: 60 }, (_, at) => `"${at + 100}"`)
  t.match(problemOf(await send(alice, 'PATCH', url, { 'if-match': many.join(', ') })), failed)
  const last = await send(alice, 'PATCH', url, { 'if-match': [...many, '"2"'].join(', ') })
  t.equal(last.statusCode, 200, 'every tag of a list is compared')
  const answer = await send(alice, 'PATCH', url, { 'if-match': `"${'1'.repeat(1000)}"` })
  t.match(problemOf(answer), { status: 400, code: 'validation_failed' })
})

t.test('many spaces in a tag cost linear time', async (t) => {
  const { alice, url } = await taskAtVersionTwo(t)
  t.match(problemOf(await send(alice, 'PATCH', url, { 'if-match': `"2"${' '.repeat(900)}x` })), failed)
})
