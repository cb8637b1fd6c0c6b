import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { problemOf, twoUsers } from '../../helper.ts'
import { naughtyStrings, sampled } from '../../support/vectors.ts'

const invalid = { status: 400, code: 'validation_failed' }
const notOwner = { status: 403, code: 'not_owner' }

/** A text is returned unchanged, or refused: empty, too long, with NUL, or with a byte order mark at its start. */
function assertKept(t: Test, answer: LightMyRequestResponse, field: string, text: string, max: number): void {
  // The text itself in the name of an assertion breaks TAP parsers.
  const name = `${field} ${Buffer.from(text).toString('base64')}`
  const empty = field !== 'description' && text === ''
  if (empty || [...text].length > max || text.includes('\0') || text.startsWith('\ufeff')) {
    t.match(problemOf(answer), { ...invalid, errors: [{ path: field }] }, name)
  } else {
    t.equal(answer.json()[field], text, name)
  }
}

t.test('a naughty string is stored and returned unchanged, or refused', async (t) => {
  const { alice } = await twoUsers(t)
  t.equal(naughtyStrings().length, 515)
  const strings = sampled(naughtyStrings(), 8)
  const stored: unknown[] = []
  for (const text of strings) {
    assertKept(t, await alice.call('PATCH', '/api/auth/me', { name: text }), 'name', text, 100)
    assertKept(t, await alice.call('POST', alice.tasks, { title: text }), 'title', text, 200)
    const task = await alice.call('POST', alice.tasks, { title: 'x', description: text })
    assertKept(t, task, 'description', text, 1_000)
    if (task.statusCode === 201) {
      t.equal((await alice.call('GET', `${alice.tasks}/${task.json().id}`)).json().description, text)
      stored.push(text)
    }
  }
  t.ok(stored.length > 0.9 * strings.length)
})

t.test('a naughty string in a header, a path or a query causes no 5xx', async (t) => {
  const { alice } = await twoUsers(t)
  for (const text of sampled(naughtyStrings(), 8)) {
    const name = Buffer.from(text).toString('base64')
    const segment = encodeURIComponent(text)
    const statuses = [
      (await alice.call('GET', `/${segment}`)).statusCode,
      (await alice.call('GET', `/api/${segment}/tasks`)).statusCode,
      (await alice.call('GET', `${alice.tasks}/${segment}`)).statusCode,
      (await alice.call('GET', `${alice.tasks}?cursor=${segment}&limit=${segment}`)).statusCode,
    ]
    if (/^[\x20-\x7e]*$/.test(text)) {
      const headers = {
        'user-agent': text,
        'x-request-id': text,
        accept: text,
        cookie: text,
        'if-match': text,
      }
      statuses.push((await alice.call('DELETE', `${alice.tasks}/1`, undefined, { headers })).statusCode)
    }
    t.same(
      statuses.filter((status) => status < 400 && status !== 200),
      [],
      name,
    )
    t.same(
      statuses.filter((status) => status >= 500),
      [],
      name,
    )
  }
})

t.test('NUL is refused in every text, path and query', async (t) => {
  const { app, alice } = await twoUsers(t)
  const account = { email: 'nul@example.com', password: 'correct horse battery', name: 'x' }
  const bodies = [
    ['POST', '/api/auth/signup', { ...account, email: 'nul\0@example.com' }],
    ['POST', '/api/auth/signup', { ...account, name: 'a\0b' }],
    ['POST', '/api/auth/login', { email: 'nul\0@example.com', password: 'x' }],
    ['PATCH', '/api/auth/me', { name: '\0' }],
    ['POST', alice.tasks, { title: 'a\0' }],
    ['POST', alice.tasks, { title: 'x', description: '\0a' }],
    ['PUT', `${alice.tasks}/1`, { title: '\0' }],
    ['PATCH', `${alice.tasks}/1`, { description: 'a\0b' }],
    ['GET', `${alice.tasks}/%00`],
    ['GET', `${alice.tasks}/1%00`],
    ['GET', `${alice.tasks}?cursor=1%00`],
    ['GET', `${alice.tasks}?limit=1%00`],
    ['GET', `${alice.tasks}?completed=true%00`],
  ] as const
  for (const [method, url, body] of bodies) {
    t.match(
      problemOf(await alice.call(method, url, body)),
      invalid,
      `${method} ${url} ${JSON.stringify(body)}`,
    )
  }
  t.match(problemOf(await alice.call('GET', `/api/${alice.id}%00/tasks`)), notOwner)
  t.match(problemOf(await app.inject('/health/live%00')), { status: 404, code: 'not_found' })
})

t.test('a cursor, limit or filter that the contract does not allow is refused (I01)', async (t) => {
  const { alice, bob } = await twoUsers(t)
  const ids: number[] = []
  for (const title of ["'", '"; drop table tasks;--', '$1', '\\', '%', '_']) {
    const created = await alice.call('POST', alice.tasks, { title })
    t.equal(created.json().title, title)
    ids.push(created.json().id)
  }
  const refused = [
    "cursor='",
    'cursor=0',
    'cursor=-1',
    'cursor=1.5',
    'cursor=1e3',
    'cursor=0x1',
    'cursor=%201',
  ]
  refused.push('cursor=', 'cursor=9999999999999999', 'cursor=1&cursor=2', 'cursor[]=1', 'cursor=1%20or%201=1')
  refused.push(
    'limit=0',
    'limit=-1',
    'limit=101',
    'limit=1.5',
    'limit=',
    'limit=null',
    'limit=true',
    'limit=NaN',
  )
  refused.push(
    'limit=1&limit=2',
    'limit=99999999999999999999',
    'limit=Infinity',
    'completed=1',
    'completed=yes',
  )
  refused.push('completed=', 'completed=null', 'completed=TRUE', 'completed=true&completed=false')
  refused.push('sort=id;--', 'order=desc', 'offset=1', `user_id=${bob.id}`, 'unknown=')
  for (const query of refused)
    t.match(problemOf(await alice.call('GET', `${alice.tasks}?${query}`)), invalid, query)

  const foreign = await bob.call('GET', `${bob.tasks}?cursor=${ids[0]}`)
  t.same([foreign.statusCode, foreign.json()], [200, []], "a cursor of another's list shows nothing of it")
  t.same((await alice.call('GET', `${alice.tasks}?cursor=999999999999999`)).json(), [])
  const page = await alice.call('GET', `${alice.tasks}?limit=100&completed=false&cursor=${ids[3]}`)
  t.same(
    page.json().map(({ id }: { id: number }) => id),
    ids.slice(4),
  )
})

t.test('an id that no task can have is refused without a query (I03)', async (t) => {
  const { alice } = await twoUsers(t)
  await alice.call('POST', alice.tasks, { title: 'first' })
  const ids = [
    '0',
    '-1',
    '1.5',
    'x',
    'null',
    'true',
    'NaN',
    'Infinity',
    '9007199254740992',
    '9'.repeat(30),
    '1e400',
  ]
  ids.push('01', '+1', '1e0', '0x1', '0b1', '1.0', '%201', '1%20', '%0a1', '1;', "1'", '%D9%A1')
  for (const id of ids) {
    for (const [method, body] of [['GET'], ['PATCH', { title: 'x' }], ['DELETE']] as const) {
      t.match(problemOf(await alice.call(method, `${alice.tasks}/${id}`, body)), invalid, `${method} ${id}`)
    }
  }
  const largest = await alice.call('GET', `${alice.tasks}/9007199254740991`)
  t.match(problemOf(largest), { status: 404, code: 'task_not_found' })
})

t.test('another spelling of a user id is another user (F03)', async (t) => {
  const { alice, bob } = await twoUsers(t)
  await bob.call('POST', bob.tasks, { title: "bob's" })
  const others = [
    alice.id.toUpperCase(),
    `{${alice.id}}`,
    alice.id.replace('_', ''),
    `${alice.id}%2f`,
    `${alice.id}%00`,
  ]
  others.push(`${alice.id};x=1`, `${alice.id}%20`, `%20${alice.id}`, 'u'.repeat(101), 'me', '*', '%25')
  others.push(`${alice.id},${bob.id}`, `${alice.id}%2f..%2f${bob.id}`, `${bob.id}%2f..%2f${alice.id}`)
  for (const id of others) {
    for (const path of ['/tasks', '/tasks/1']) {
      t.match(problemOf(await alice.call('GET', `/api/${id}${path}`)), notOwner, id + path)
    }
  }
  const tooLong = await alice.call('GET', `/api/${'u'.repeat(256)}/tasks`)
  t.match(problemOf(tooLong), { status: 414, code: 'uri_too_long' })
  for (const path of [
    `/api/${alice.id}/tasks/..%2f..%2f${bob.id}%2ftasks`,
    `/api/${alice.id}/tasks?user_id=${bob.id}`,
  ]) {
    t.match(problemOf(await alice.call('GET', path)), invalid, path)
  }
  t.equal((await alice.call('GET', `/api/${alice.id.replace('_', '%5f')}/tasks`)).statusCode, 200)
})

t.test('an owner comes from the token and from nowhere else (F04)', async (t) => {
  const { alice, bob } = await twoUsers(t)
  const headers = {
    'x-user-id': bob.id,
    'x-forwarded-user': bob.id,
    'x-remote-user': bob.id,
    cookie: `user=${bob.id}`,
  }
  const made = await alice.call('POST', `${alice.tasks}?user_id=${bob.id}`, { title: 'x' }, { headers })
  t.equal(made.json().user_id, alice.id)
  t.equal((await alice.call('GET', '/api/auth/me', undefined, { headers })).json().id, alice.id)
  for (const field of ['user_id', 'userId', 'owner', 'id', 'created_at', 'version']) {
    for (const [method, url] of [['POST', alice.tasks] as const, ['PATCH', `${alice.tasks}/1`] as const]) {
      const answer = await alice.call(method, url, { title: 'x', [field]: bob.id })
      t.match(problemOf(answer), { ...invalid, errors: [{ path: field }] }, `${method} ${field}`)
    }
  }
  t.same((await bob.call('GET', bob.tasks)).json(), [])
})
