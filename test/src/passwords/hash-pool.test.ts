import { once } from 'node:events'
import { request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import t from 'tap'
import { createPasswords } from '../../../src/passwords/pool.ts'
import { Problem } from '../../../src/problem.ts'
import { password, problemOf, signUp, testApp } from '../../helper.ts'

const full = { code: 'service_unavailable', reason: 'hash_queue_full', headers: { 'retry-after': /^[1-5]$/ } }
const gone = { code: 'service_unavailable', reason: 'client_left' }

t.test('when every slot is taken, the next hash is refused at once (H10)', async (t) => {
  const pool = createPasswords({ concurrency: 1, queue: 2 })
  const accepted = [1, 2, 3].map(() => pool.hash(password))
  await t.rejects(pool.hash(password), full)
  const [first] = await Promise.all(accepted)
  t.equal(await pool.verify(first, password), true)
})

t.test('an aborted hash in the queue is not computed and releases its slot at once', async (t) => {
  const pool = createPasswords({ concurrency: 1, queue: 1 })
  const [running, waiting] = [new AbortController(), new AbortController()]
  const first = pool.hash(password, running.signal)
  const second = pool.hash(password, waiting.signal)
  await t.rejects(pool.hash(password), full)
  running.abort()
  await t.rejects(pool.hash(password), full, 'a running hash keeps its slot')
  waiting.abort()
  const third = pool.hash(password)
  await t.rejects(second, gone)
  await Promise.all([first, third])
  await t.rejects(pool.hash(password, waiting.signal), gone)
  await Promise.all([pool.hash(password), pool.hash(password)])
  t.pass('no slot leaks')
})

t.test('a flood of logins gets 503 with Retry-After, other routes respond (H10)', async (t) => {
  const app = await testApp(t, { env: { HASH_CONCURRENCY: '1', HASH_QUEUE: '3' } })
  const alice = await signUp(app, 'alice')
  const found = t.capture(app.passwords, 'verify', app.passwords.verify)
  const logins = Array.from({ length: 500 }, () =>
    app.inject({ method: 'POST', url: '/api/auth/login', payload: { email: alice.email, password } }),
  )
  t.equal((await alice.call('GET', alice.tasks)).statusCode, 200)
  const answers = await Promise.all(logins)
  const served = answers.filter(({ statusCode }) => statusCode === 200)
  const refused = answers.filter(({ statusCode }) => statusCode === 503)
  t.equal(served.length + refused.length, 500)
  t.ok(served.length >= 4 && served.length < 400, `${served.length} were served`)
  for (const answer of refused.slice(0, 3)) {
    t.match(problemOf(answer), { status: 503, code: 'service_unavailable' })
    t.match(answer.headers['retry-after'], /^[1-5]$/)
  }
  t.equal(found().length, served.length, 'a refused login looks up no account')
  t.equal((await app.inject('/health/live')).statusCode, 200)
})

t.test('a disconnect aborts the signal while the password is being verified, and not before', async (t) => {
  const app = await testApp(t)
  const alice = await signUp(app, 'alice')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const body = JSON.stringify({ email: alice.email, password })
  const send = () =>
    request({
      port,
      path: '/api/auth/login',
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    }).end(body)

  const signals: (AbortSignal | undefined)[] = []
  const verify = app.passwords.verify
  t.intercept(app.passwords, 'verify', {
    value: (async (hash, given, signal) => {
      signals.push(signal)
      return verify(hash, given, signal)
    }) satisfies typeof verify,
  })
  const [answer] = await once(send(), 'response')
  t.equal(answer.statusCode, 200)
  answer.resume()
  await once(answer, 'end')
  t.equal(signals[0]?.aborted, false)

  const arrived = new Promise<AbortSignal>((resolve) => {
    t.intercept(app.passwords, 'verify', {
      value: (async (_hash, _given, signal) => {
        if (!signal) throw new Error('no signal')
        resolve(signal)
        await once(signal, 'abort')
        throw new Problem('service_unavailable', { reason: 'client_left' })
      }) satisfies typeof verify,
    })
  })
  const leaving = send().on('error', () => {})
  const signal = await arrived
  t.equal(signal.aborted, false)
  const aborted = once(signal, 'abort')
  leaving.destroy()
  await aborted
  t.equal((await app.inject('/health/live')).statusCode, 200)
})

t.test('clients that pipeline requests and disconnect leak no slot (H10)', async (t) => {
  const app = await testApp(t, { env: { HASH_CONCURRENCY: '1', HASH_QUEUE: '3' } })
  const alice = await signUp(app, 'alice')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const body = JSON.stringify({ email: alice.email, password })
  const login = `POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const verify = app.passwords.verify
  for (let client = 0; client < 3; client++) {
    const accepted = once(app.server, 'connection')
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    const arrived = new Promise<void>((resolve) => {
      let verified = 0
      t.intercept(app.passwords, 'verify', {
        value: ((...args) => {
          if (++verified === 4) resolve()
          return verify(...args)
        }) satisfies typeof verify,
      })
    })
    socket.write(login.repeat(4))
    const [here] = await accepted
    const closed = once(here, 'close')
    await arrived
    socket.destroy()
    await closed
    // A running hash cannot be cancelled.
    await app.passwords.hash(password)
  }
  const answer = await app.inject({
    method: 'POST',
    url: '/api/auth/login',
    payload: { email: alice.email, password },
  })
  t.equal(answer.statusCode, 200)
  t.equal((await alice.call('GET', alice.tasks)).statusCode, 200)
})
