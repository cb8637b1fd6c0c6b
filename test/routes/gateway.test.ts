import { METHODS } from 'node:http'
import t from 'tap'
import { identityHeaders } from '../../src/gateway/identity.ts'
import { problemOf, secret, signUp, testApp, twoUsers, unauthorized } from '../helper.ts'
import { mint, sign } from '../support/mint.ts'

const verify = '/gateway/verify'
const methods = METHODS.filter((method) => method !== 'CONNECT')

/** The headers of an answer that say who passes. */
function identityIn(headers: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(identityHeaders.map((name) => [name, headers[name]]))
}

const nobody = Object.fromEntries(identityHeaders.map((name) => [name, '-']))

function claimsOf(token: string) {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}

t.test('with limits off', async (t) => {
  const lines: string[] = []
  const { app, alice, bob } = await twoUsers(t, {
    env: { LOG_LEVEL: 'info', CORS_ORIGINS: 'https://app.example.com' },
    log: (line) => lines.push(line),
  })
  const ask = async (
    question: string,
    token: string | undefined = alice.token,
    headers: Record<string, string> = {},
  ) =>
    app.inject({
      url: verify + question,
      headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers },
    })
  const statusOf = async (...args: Parameters<typeof ask>) => (await ask(...args)).statusCode
  const codeOf = async (...args: Parameters<typeof ask>) => {
    const answer = await ask(...args)
    return answer.statusCode === 200 ? 200 : `${answer.statusCode} ${answer.json().code}`
  }
  /** The reason in the log line of the last request. */
  const reason = () => JSON.parse(lines.at(-1) ?? '{}').reason

  t.test('a good token passes by any method, with an empty body and every header', async (t) => {
    const { sid, exp, auth_time } = claimsOf(alice.token)
    for (const method of methods) {
      const answer = await alice.call(method, verify)
      t.equal(answer.statusCode, 200, method)
      t.equal(answer.body, '', method)
      t.equal(answer.headers['cache-control'], 'no-store')
      t.same(
        identityIn(answer.headers),
        {
          'x-latchkey-user': alice.id,
          'x-latchkey-key': alice.id,
          'x-latchkey-issuer': 'http://latchkey.test',
          'x-latchkey-session': sid,
          'x-latchkey-client': '-',
          'x-latchkey-scope': '-',
          'x-latchkey-expires': String(exp),
          'x-latchkey-auth-time': String(auth_time),
          'x-latchkey-acr': 'aal1',
        },
        method,
      )
    }
  })

  t.test('no token, and one that is not valid, is a 401 with its challenge by any method', async (t) => {
    for (const method of methods) {
      const anonymous = await app.inject({ method: method as 'GET', url: verify })
      t.equal(anonymous.statusCode, 401, method)
      t.equal(anonymous.headers['www-authenticate'], 'Bearer', method)
      t.equal(anonymous.headers['x-latchkey-user'], undefined)
      if (method !== 'HEAD') t.same(problemOf(anonymous), unauthorized, method)
    }
    for (const bad of [`${alice.token}x`, mint({ alg: 'none' }), 'x', mint({}, { exp: 1 })]) {
      const refused = await ask('', bad)
      t.same(problemOf(refused), unauthorized)
      t.equal(refused.headers['www-authenticate'], 'Bearer error="invalid_token"')
    }
    const gone = await signUp(app, 'gone')
    t.equal(await statusOf('', gone.token), 200)
    await gone.call('POST', '/api/auth/logout')
    t.equal(await codeOf('', gone.token), '401 unauthorized', 'revoked a moment ago')
  })

  t.test('two Authorization headers are a 401', async (t) => {
    const headers = { authorization: [`Bearer ${alice.token}`, `Bearer ${alice.token}`] }
    const answer = await app.inject({ url: verify, headers: headers as never })
    t.same(problemOf(answer), unauthorized)
    t.equal(answer.headers['www-authenticate'], 'Bearer error="invalid_request"')
  })

  t.test('user_id passes only its own token', async (t) => {
    t.equal(await codeOf(`?user_id=${alice.id}`), 200)
    t.equal(await codeOf(`?user_id=${alice.id}`, bob.token), '403 not_owner')
    t.equal(await codeOf(`?user_id=${alice.id}`, ''), '401 unauthorized')
    t.equal(await codeOf(`?access=optional&user_id=${alice.id}`, ''), '401 unauthorized')
    t.equal(await codeOf(`?access=optional&user_id=${alice.id}`, bob.token), '403 not_owner')
    t.equal(await codeOf(`?user_id=${alice.id.toUpperCase()}`), '403 not_owner')
  })

  t.test('optional passes without a valid token, as nobody', async (t) => {
    for (const token of ['', `${alice.token}x`, 'x']) {
      const answer = await ask('?access=optional', token)
      t.equal(answer.statusCode, 200)
      t.same(identityIn(answer.headers), nobody)
    }
    t.equal((await ask('?access=optional')).headers['x-latchkey-user'], alice.id)
    t.equal((await ask('?access=optional', bob.token)).headers['x-latchkey-user'], bob.id)
  })

  t.test(
    'a parameter that is unknown, repeated or invalid is a 403, with its reason in the log',
    async (t) => {
      const faults: Record<string, string> = {
        '?ownr=/api/:user_id': 'unknown_parameter',
        '?access_token=x': 'unknown_parameter',
        '?toString=x': 'unknown_parameter',
        '?%zz=x': 'unknown_parameter',
        '?user': 'unknown_parameter',
        '?access=user&access=user': 'repeated_parameter',
        '?access': 'invalid_access',
        '?access=public': 'invalid_access',
        '?access=Optional': 'invalid_access',
        '?user_id=': 'invalid_user_id',
        '?user_id=..': 'invalid_user_id',
        '?user_id=a%2Fb': 'invalid_user_id',
        '?user_id=a%zz': 'invalid_user_id',
        '?owner=/api': 'invalid_owner',
        '?owner=api/:user_id': 'invalid_owner',
        '?owner=/:user_id/:user_id': 'invalid_owner',
        '?owner=/:tenant/:user_id': 'invalid_owner',
        '?owner=/api//:user_id': 'invalid_owner',
        '?scope=': 'invalid_scope',
        '?scope=a%20b': 'invalid_scope',
        '?max_age=': 'invalid_max_age',
        '?max_age=-1': 'invalid_max_age',
        '?max_age=1.5': 'invalid_max_age',
        '?max_age=01': 'invalid_max_age',
        '?acr=aal3': 'invalid_acr',
        '/': 'invalid_parameters',
        '/?access=user': 'invalid_parameters',
        '/%zz/api/x': 'invalid_parameters',
        '/api/x': 'unknown_parameter',
        '/-=/api/x': 'unknown_parameter',
      }
      for (const [question, fault] of Object.entries(faults)) {
        for (const token of [alice.token, '']) {
          t.equal(await codeOf(question, token), '403 not_owner', question)
          t.equal(reason(), fault, question)
        }
      }
      t.equal(await codeOf('?'), 200, 'no parameter')
      t.equal(await codeOf('?&access=user&'), 200, 'an empty one')
    },
  )

  const own = `/api/${alice.id}/notes`

  t.test('owner reads the path from the header of any gateway', async (t) => {
    const owner = '?owner=/api/:user_id'
    for (const name of ['x-forwarded-uri', 'x-original-uri', 'x-original-url']) {
      t.equal(await codeOf(owner, alice.token, { [name]: own }), 200, name)
      t.equal(await codeOf(owner, alice.token, { [name]: `${own}?a=/b#c` }), 200, name)
      t.equal(await codeOf(owner, bob.token, { [name]: own }), '403 not_owner', name)
      t.equal(await codeOf(owner, '', { [name]: own }), '401 unauthorized', name)
      t.equal(await codeOf(`${owner}&access=optional`, '', { [name]: own }), '401 unauthorized', name)
      t.equal(await codeOf('', bob.token, { [name]: own }), 200, 'not read unless owner asks for it')
    }
    const url = `https://shop.example:8443${own}`
    t.equal(await codeOf(owner, alice.token, { 'x-original-url': url }), 200)
    t.equal(await codeOf(owner, alice.token, { 'x-original-url': url, 'x-forwarded-uri': own }), 200)
    t.equal(await codeOf('?owner=/:user_id', alice.token, { 'x-original-uri': `/${alice.id}` }), 200)
    t.equal(await codeOf(owner, alice.token, { 'x-original-uri': `/%61pi/${alice.id}` }), 200)
  })

  t.test('no original path, and two that differ, are a 403', async (t) => {
    const owner = '?owner=/api/:user_id'
    t.equal(await codeOf(owner), '403 not_owner')
    t.equal(reason(), 'original_path_missing')
    const headers = { 'x-forwarded-uri': own, 'x-original-uri': `/api/${bob.id}/notes` }
    for (const token of [alice.token, bob.token]) {
      t.equal(await codeOf(owner, token, headers), '403 not_owner')
      t.equal(reason(), 'original_path_differs')
    }
    const twice = { 'x-forwarded-uri': [own, `/api/${bob.id}/notes`] as never }
    t.equal(await codeOf(owner, alice.token, twice), '403 not_owner', 'in one header')
    t.equal(
      await codeOf(`/owner=%2Fapi%2F:user_id/api/${bob.id}`, bob.token, { 'x-original-uri': own }),
      '403 not_owner',
    )
  })

  t.test('a path that a service may read as another is nobody’s', async (t) => {
    const strange = [
      '..',
      '.',
      '%2e%2e',
      '.%2E',
      '',
      'a%2Fb',
      'a%2fb',
      'a%5Cb',
      'a\\b',
      'a;b',
      'a%3Bb',
      'a%2500',
      'a%00',
      '%zz',
      '%ff',
    ]
    for (const segment of strange) {
      for (const path of [
        `/api/${alice.id}/${segment}/x`,
        `/api/${segment}/${alice.id}`,
        `/${segment}${own}`,
      ]) {
        const answer = await codeOf('?owner=/api/:user_id', alice.token, { 'x-original-uri': path })
        t.equal(answer, '403 not_owner', path)
      }
    }
    for (const path of [
      '/other',
      '/api',
      `/API/${alice.id}`,
      '',
      `api/${alice.id}`,
      `http:/${own}`,
      `http://x?/${own}`,
    ]) {
      t.equal(
        await codeOf('?owner=/api/:user_id', alice.token, { 'x-original-uri': path }),
        '403 not_owner',
        path,
      )
    }
  })

  t.test('parameters in the path leave the query to the client', async (t) => {
    const prefix = '/owner=%2Fapi%2F:user_id'
    for (const list of [prefix, '/owner%3D%252Fapi%252F%3Auser_id', `${prefix}&access=user`]) {
      t.equal(await codeOf(`${list}${own}`), 200, list)
      t.equal(await codeOf(`${list}${own}?access=optional&user_id=x&access_token=y`), 200, list)
      t.equal(await codeOf(`${list}${own}`, bob.token), '403 not_owner', list)
      t.equal(await codeOf(`${list}${own}?access=optional`, ''), '401 unauthorized', list)
      t.equal(await codeOf(list), '403 not_owner', 'no path')
    }
    t.equal(await codeOf('/-/any/path?access=optional', ''), '401 unauthorized')
    t.equal(await codeOf('/-/any/path?access=optional'), 200)
    t.equal(await codeOf('/access=optional/any/path', ''), 200)
    t.equal(await codeOf('/-'), 200)
    for (const path of ['/%zz', `/${'a'.repeat(9_000)}`, '/a?%zz', '/%00', '/é']) {
      t.equal(await codeOf(`/-${path}`), 200, 'the path is nobody’s business without owner')
      t.equal(await codeOf(`${prefix}${path}`), '403 not_owner', path.slice(0, 9))
    }
  })

  t.test('nothing else that a client sends is refused for itself', async (t) => {
    const { authorization: _, ...sent } = {
      authorization: '',
      host: 'evil.example',
      'content-type': 'nonsense; charset=x',
      'content-encoding': 'br',
      accept: 'image/png',
      expect: '200-maybe',
      'idempotency-key': '\u0001'.replace('\u0001', '"'),
      origin: 'https://app.example.com',
      'access-control-request-method': 'PATCH',
      'if-match': 'x',
      range: 'bytes=9-1',
    }
    for (const method of ['GET', 'POST', 'OPTIONS', 'QUERY', 'PATCH', 'DELETE'].filter((m) =>
      methods.includes(m),
    )) {
      const passed = await alice.call(method, verify, undefined, { headers: sent })
      t.equal(passed.statusCode, 200, method)
      const refused = await app.inject({ method: method as 'GET', url: verify, headers: sent })
      t.equal(refused.statusCode, 401, method)
    }
  })

  t.test('scope, max_age and acr are what they are on a route', async (t) => {
    t.equal(await codeOf('?scope=notes:read'), 200, 'a session has every scope')
    t.equal(await codeOf('?max_age=300'), 200)
    t.equal(await codeOf('?acr=aal1'), 200)
    const weak = await ask('?max_age=300&acr=aal2')
    t.equal(weak.json().code, 'insufficient_user_authentication')
    t.equal(weak.statusCode, 401)
    t.equal(
      weak.headers['www-authenticate'],
      'Bearer error="insufficient_user_authentication", max_age=300, acr_values="aal2"',
    )
    const { auth_time, acr, ...silent } = claimsOf(alice.token)
    const token = sign({ alg: 'HS256', typ: 'at+jwt' }, silent, secret)
    t.equal(await codeOf('', token), 200)
    t.equal(await codeOf('?max_age=9999999999', token), '401 insufficient_user_authentication')
    t.equal(await codeOf('?acr=aal1', token), '401 insufficient_user_authentication')
  })

  t.test('a token without an issuer says so, and its key is one word', async (t) => {
    const claims = { iss: undefined, aud: undefined, sid: undefined, sub: "o'brien/x%y" }
    const token = mint(
      { typ: 'JWT' },
      { ...claims, client_id: 'caf\u00e9 \ud800', acr: ' ', auth_time: 1_700_000_000.7 },
    )
    const { headers, statusCode } = await ask('', token)
    t.equal(statusCode, 200)
    t.match(identityIn(headers), {
      'x-latchkey-user': "o'brien/x%y",
      'x-latchkey-key': encodeURIComponent("o'brien/x%y"),
      'x-latchkey-issuer': '-',
      'x-latchkey-session': '-',
      'x-latchkey-client': 'caf%C3%A9%20%EF%BF%BD',
      'x-latchkey-auth-time': '1700000000',
      'x-latchkey-acr': '%20',
    })
  })

  t.test('while revocations are unknown, nobody passes', async (t) => {
    app.revocations.heard(Number.NEGATIVE_INFINITY)
    const answer = await ask('')
    t.equal(answer.statusCode, 503)
    t.equal(answer.json().code, 'service_unavailable')
    t.equal(answer.headers['retry-after'], '1')
    t.equal(await codeOf('', ''), '401 unauthorized')
    t.same(identityIn((await ask('?access=optional')).headers), nobody)
    app.revocations.heard(app.revocations.now)
  })

  t.test('the log has the route and not the question', async (t) => {
    lines.length = 0
    await ask(`/owner=%2Fapi%2F:user_id${own}?secret=1`)
    t.match(JSON.parse(lines.at(-1) ?? ''), { route: verify, status: 200, user_id: alice.id })
    t.notMatch(lines.join(), /secret=1/)
  })
})

t.test('PUBLIC_URL may have a path, which a gateway keeps or removes', async (t) => {
  for (const prefix of ['/auth', '/gateway']) {
    const { alice, bob } = await twoUsers(t, { env: { PUBLIC_URL: `https://x.example${prefix}` } })
    for (const base of ['', prefix]) {
      const url = `${base}${verify}/owner=%2Fapi%2F:user_id/api/${alice.id}`
      t.equal((await alice.call('GET', url)).statusCode, 200, url)
      t.equal((await bob.call('GET', url)).statusCode, 403, url)
      t.equal((await bob.call('GET', `${base}${verify}?user_id=${alice.id}`)).statusCode, 403)
    }
  }
})

t.test('refusals count against the address of the client behind the gateway', async (t) => {
  const lines: string[] = []
  const app = await testApp(t, {
    env: {
      LOG_LEVEL: 'info',
      RATE_LIMITS: 'on',
      RATE_LIMIT_EVERYTHING: '5/1m',
      TRUST_PROXY: '127.0.0.1',
    },
    log: (line) => lines.push(line),
  })
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const ask = async (token: string, client: string, question = '') => {
    const headers = { 'x-forwarded-for': client, ...(token ? { authorization: `Bearer ${token}` } : {}) }
    return (await app.inject({ url: verify + question, headers })).statusCode
  }
  for (let n = 0; n < 20; n++) t.equal(await ask(alice.token, '192.0.2.1'), 200, 'a token that is valid')
  t.equal(await ask('', '192.0.2.1'), 401)
  t.equal(await ask('x', '192.0.2.1'), 401)
  t.equal(await ask(`${bob.token}x`, '192.0.2.1'), 401)
  t.equal(await ask(alice.token, '192.0.2.1', '?user_id=x'), 403)
  t.equal(await ask(`${bob.token}x`, '192.0.2.1'), 401)

  t.equal(await ask(bob.token, '192.0.2.1'), 401, 'not yet known')
  t.equal(JSON.parse(lines.at(-1) ?? '{}').reason, 'limited')
  t.equal(lines.filter((line) => line.includes('rate_limit_reached')).length, 1)
  t.equal(await ask(bob.token, '192.0.2.1', '?access=optional'), 200)
  t.equal(await ask(alice.token, '192.0.2.1'), 200, 'verified before')
  t.equal(await ask(bob.token, '192.0.2.2'), 200, 'another client')
  t.equal(await ask(bob.token, '192.0.2.1'), 200, 'known by now')
  const other = await app.inject({ url: '/openapi.json', headers: { 'x-forwarded-for': '192.0.2.1' } })
  t.equal(other.statusCode, 429, 'the budget is that of everything')
})

t.test('GATEWAY_VERIFY=off removes it', async (t) => {
  const app = await testApp(t, { env: { GATEWAY_VERIFY: 'off' } })
  for (const url of [verify, `${verify}?access=optional`, `${verify}/-/x`])
    t.equal((await app.inject({ url })).statusCode, 404, url)
  t.notOk((await app.inject('/openapi.json')).json().paths[verify])
})
