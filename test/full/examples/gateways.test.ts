import { EventEmitter, once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { Agent, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { neighbour } from '../../../examples/gateways/neighbour/service.ts'
import { identityHeaders } from '../../../src/gateway/identity.ts'
import { password } from '../../helper.ts'
import { gatewayNames, startGateway } from '../../support/gateways.ts'
import { post, startService } from '../../support/process.ts'
import { production } from '../../support/production.ts'

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

/** Without a client library, which would change the path and refuse some headers. */
async function send(
  gateway: string,
  method: string,
  path: string,
  {
    headers = {},
    body,
    agent,
  }: { headers?: Record<string, string | string[]>; body?: string; agent?: Agent } = {},
): Promise<Answer> {
  const { hostname, port } = new URL(gateway)
  const sent = httpRequest({ hostname, port, method, path, headers, ...(agent ? { agent } : {}) })
  sent.end(body)
  const [answer] = await once(sent, 'response')
  let text = ''
  for await (const chunk of answer.setEncoding('utf8')) text += chunk
  return { status: answer.statusCode, headers: answer.headers, body: text }
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const gone = mkdtempSync(join(tmpdir(), 'latchkey-'))

t.test('four gateways before two instances', async (t) => {
  const env = await production(t, { TRUST_PROXY: '127.0.0.1', RATE_LIMITS: 'off' })
  const first = await startService(t, env, gone)
  const second = await startService(t, env, gone)
  const service = neighbour().listen(0, '127.0.0.1')
  await once(service, 'listening')
  t.teardown(() => service.close())

  const signUp = async (name: string) => {
    const email = `${name}.${Date.now()}@example.com`
    const answer = await post(`${first.url}/api/auth/signup`, { email, password, name })
    const { user, token } = (await answer.json()) as { user: { id: string }; token: string }
    return { id: user.id, token, notes: `/notes/${user.id}/list` }
  }
  const [alice, bob] = [await signUp('alice'), await signUp('bob')]
  const ports = {
    latchkeys: [Number(new URL(first.url).port), Number(new URL(second.url).port)] as const,
    neighbour: (service.address() as AddressInfo).port,
  }
  const gateways = await Promise.all(
    gatewayNames.map(async (name) => ({ name, url: await startGateway(t, name, ports) })),
  )

  for (const { name, url } of gateways) {
    t.test(name, async (t) => {
      const assertProblem = (answer: Answer, status: number, code: string, label: string) => {
        t.equal(answer.status, status, label)
        t.match(answer.headers['content-type'], /^application\/problem\+json/, label)
        t.match(JSON.parse(answer.body || '{}'), { type: 'about:blank', status, code }, label)
      }
      const passed = (answer: Answer, label: string) => {
        t.equal(answer.status, 200, `${label}: ${answer.body}`)
        return answer.status === 200 ? JSON.parse(answer.body) : { headers: {} }
      }

      for (const path of [alice.notes, '/profile/', '/news/']) {
        const { user, headers, ...seen } = passed(
          await send(url, 'GET', `${path}?a=b`, { headers: bearer(alice.token) }),
          path,
        )
        t.equal(user, alice.id, path)
        t.match(seen, { method: 'GET', url: `${path}?a=b`, bytes: 0 }, path)
        t.same(
          identityHeaders.filter((header) => typeof headers[header] !== 'string'),
          [],
          'every header',
        )
        t.equal(headers['x-latchkey-issuer'], 'https://auth.example.com')
        t.equal(headers.authorization, undefined, 'the service gets no token')
      }

      for (const path of [alice.notes, '/profile/']) {
        const anonymous = await send(url, 'GET', path)
        assertProblem(anonymous, 401, 'unauthorized', `no token, ${path}`)
        t.equal(anonymous.headers['www-authenticate'], 'Bearer')
        const forged = await send(url, 'GET', path, { headers: bearer(`${alice.token}x`) })
        assertProblem(forged, 401, 'unauthorized', `a forged token, ${path}`)
        t.equal(forged.headers['www-authenticate'], 'Bearer error="invalid_token"')
      }
      const twice = await send(url, 'GET', '/profile/', {
        headers: { authorization: [`Bearer ${alice.token}`, `Bearer ${bob.token}`] },
      })
      t.ok(twice.status === 401 || twice.status === 400, `two tokens: ${twice.status}`)

      for (const token of ['', `${alice.token}x`]) {
        const visitor = passed(
          await send(url, 'GET', '/news/', { headers: token ? bearer(token) : {} }),
          'optional',
        )
        for (const header of identityHeaders) t.equal(visitor.headers[header], '-', header)
      }

      assertProblem(
        await send(url, 'GET', alice.notes, { headers: bearer(bob.token) }),
        403,
        'not_owner',
        'another',
      )
      for (const path of [
        `/notes/${alice.id}/../${bob.id}/list`,
        `/notes/${alice.id}/%2e%2e/${bob.id}/list`,
        `/notes/${bob.id}%2f..%2f${alice.id}/list`,
        `/notes/${alice.id};x/list`,
        `/notes//${alice.id}/list`,
      ]) {
        const answer = await send(url, 'GET', path, { headers: bearer(alice.token) })
        t.ok(
          [400, 403, 404].includes(answer.status),
          `${path}: ${answer.status} ${answer.body.slice(0, 200)}`,
        )
      }

      const spoofed = Object.fromEntries(
        identityHeaders.flatMap((header) =>
          ['-', '_', '.'].map((separator) => [header.replaceAll('-', separator), 'spoofed']),
        ),
      )
      for (const [path, headers] of [
        ['/news/', {}],
        ['/profile/', bearer(alice.token)],
      ] as const) {
        const seen = passed(
          await send(url, 'GET', path, { headers: { ...spoofed, ...headers } }),
          `spoofed, ${path}`,
        )
        const found = Object.entries(seen.headers).filter(([, value]) => String(value).includes('spoofed'))
        t.same(found, [], `none of the client's headers, ${path}`)
      }
      for (const header of ['x-original-uri', 'x-original-url', 'x-forwarded-uri']) {
        const answer = await send(url, 'GET', alice.notes, {
          headers: { ...bearer(bob.token), [header]: bob.notes },
        })
        t.equal(answer.status, 403, `a spoofed ${header}`)
      }

      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      for (const headers of [{ 'content-length': '900000' }, { 'transfer-encoding': 'chunked' }] as Record<
        string,
        string
      >[]) {
        const request = { headers: { ...headers, ...bearer(alice.token) }, body: 'x'.repeat(900_000), agent }
        const seen = passed(await send(url, 'POST', alice.notes, request), 'a body')
        t.match(seen, { method: 'POST', bytes: 900_000 })
        const refused = await send(url, 'POST', alice.notes, {
          ...request,
          headers: bearer(bob.token),
          body: 'x',
        })
        assertProblem(refused, 403, 'not_owner', 'a body of another')
        passed(await send(url, 'GET', alice.notes, { headers: bearer(alice.token), agent }), 'behind a body')
      }
      agent.destroy()
      for (const method of ['PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        const seen = passed(await send(url, method, alice.notes, { headers: bearer(alice.token) }), method)
        t.equal(seen.method, method)
        t.equal((await send(url, method, alice.notes)).status, 401, method)
      }

      const leaver = await signUp('leaver')
      passed(await send(url, 'GET', leaver.notes, { headers: bearer(leaver.token) }), 'before the logout')
      await post(`${first.url}/api/auth/logout`, {}, leaver.token)
      // The other instance hears of it by a notification: within a second.
      const latest = performance.now() + 1_000
      for (let refused = 0; refused < 4; ) {
        const answer = await send(url, 'GET', leaver.notes, { headers: bearer(leaver.token) })
        if (answer.status === 200 && performance.now() < latest) refused = 0
        else {
          assertProblem(answer, 401, 'unauthorized', 'revoked a moment ago')
          refused++
        }
      }

      t.equal((await send(url, 'GET', '/gateway/verify?access=optional')).status, 404, 'not for the outside')
      t.equal((await send(url, 'GET', '/health/live')).status, 200, 'Latchkey itself')
    })
  }

  t.test('an instance that is killed under load fails no request', async (t) => {
    let isOver = false
    const progress = new EventEmitter()
    const counts = gateways.map(() => 0)
    const failed: string[] = []
    const load = gateways.map(async ({ name, url }, at) => {
      const agent = new Agent({ keepAlive: true })
      const client = async () => {
        while (!isOver) {
          const { status, body } = await send(url, 'GET', alice.notes, {
            headers: bearer(alice.token),
            agent,
          })
          if (status !== 200) failed.push(`${name}: ${status} ${body}`)
          counts[at] = (counts[at] ?? 0) + 1
          progress.emit('answer')
        }
      }
      await Promise.all([client(), client(), client(), client()])
      agent.destroy()
    })
    /** Until each gateway has answered so many more. */
    const answered = async (more: number) => {
      const wanted = counts.map((count) => count + more)
      while (counts.some((count, at) => count < (wanted[at] ?? 0))) await once(progress, 'answer')
    }
    await answered(50)
    await first.stop('SIGKILL')
    await answered(150)
    isOver = true
    await Promise.all(load)
    t.same(failed.slice(0, 3), [])
  })

  t.test('without an instance every guarded request is a 503', async (t) => {
    await second.stop('SIGKILL')
    for (const { name, url } of gateways) {
      for (const path of [alice.notes, '/profile/', '/news/']) {
        const answer = await send(url, 'GET', path, { headers: bearer(alice.token) })
        t.equal(answer.status, 503, `${name} ${path}`)
        t.match(answer.headers['content-type'], /^application\/problem\+json/, name)
        t.match(JSON.parse(answer.body), { status: 503, code: 'service_unavailable' }, name)
      }
    }
  })
})
