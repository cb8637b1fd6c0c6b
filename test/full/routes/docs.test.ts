import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { parse } from 'yaml'
import { problemOf, testApp } from '../../helper.ts'
import { contract } from '../../support/contract-file.ts'

/** The sources of a CSP directive, or of default-src. */
function sourcesOf(policy: unknown, directive: string): string[] {
  const rows = String(policy)
    .split(';')
    .map((row) => row.trim().split(/\s+/))
  const row = rows.find(([name]) => name === directive) ?? rows.find(([name]) => name === 'default-src')
  return row?.slice(1) ?? ['*']
}

t.test('/docs runs only scripts of its own files', async (t) => {
  const app = await testApp(t)
  const page = await app.inject('/docs')
  t.equal(page.statusCode, 200)
  t.match(page.headers['content-type'], /^text\/html/)

  const policy = page.headers['content-security-policy']
  t.same(sourcesOf(policy, 'script-src'), ["'self'"])
  t.same(sourcesOf(policy, 'connect-src'), ["'self'"], 'requests go to this service only')
  t.same(sourcesOf(policy, 'frame-ancestors'), ["'none'"])
  t.notMatch(policy, /https:|upgrade-insecure-requests/, 'no other host, and no upgrade to https')

  const scripts = page.body.match(/<script[^>]*>/g) ?? []
  t.not(scripts.length, 0)
  for (const script of scripts) {
    const source = /src="(\/docs\/[^"]+)"/.exec(script)?.[1] ?? 'inline'
    t.equal((await app.inject(source)).statusCode, 200, source)
  }
})

t.test('behind a gateway with a prefix, the page uses it for its files', async (t) => {
  const app = await testApp(t, { env: { PUBLIC_URL: 'https://api.example.com/identity' } })
  const sources = [...(await app.inject('/docs')).body.matchAll(/<script[^>]*src="([^"]+)"/g)].map(
    ([, source]) => source,
  )
  t.not(sources.length, 0)
  for (const source of sources) t.match(source, /^\/identity\/docs\//)
})

t.test('the contract has the path of PUBLIC_URL as its server', async (t) => {
  const bases = {
    'https://api.example.com/identity': '/identity',
    'https://api.example.com/a/b/': '/a/b',
    'https://api.example.com/': '/',
    'https://api.example.com': '/',
  }
  for (const [PUBLIC_URL, url] of Object.entries(bases)) {
    const app = await testApp(t, { env: { PUBLIC_URL } })
    for (const path of ['/openapi.json', '/docs/json']) {
      t.match((await app.inject(path)).json().servers, [{ url }], `${path} of ${PUBLIC_URL}`)
    }
    const [, yaml = ''] = /^(servers:\n(?:[ -].*\n)+)/m.exec((await app.inject('/openapi.yaml')).body) ?? []
    t.match(parse(yaml), { servers: [{ url }] }, `/openapi.yaml of ${PUBLIC_URL}`)
    await app.close()
  }
  t.match(contract().servers, [{ url: '/' }], 'the committed contract has no prefix')
})

t.test('openapi.json and openapi.yaml are the same document', async (t) => {
  const app = await testApp(t)
  const json = await app.inject('/openapi.json')
  const yaml = await app.inject('/openapi.yaml')
  t.equal(json.statusCode, 200)
  t.equal(yaml.statusCode, 200)
  t.match(yaml.headers['content-type'], /^application\/yaml/)
  t.match(json.json(), { openapi: '3.1.0', info: { title: 'Latchkey' } })
  t.same(parse(yaml.body), json.json())
})

t.test('DOCS=off removes the page, not the contract (I07)', async (t) => {
  const app = await testApp(t, { env: { DOCS: 'off' } })
  for (const url of ['/docs', '/docs/', '/docs/json', '/docs/static/swagger-ui-bundle.js']) {
    t.match(problemOf(await app.inject(url)), { status: 404, code: 'not_found' }, url)
  }
  t.same((await app.inject('/openapi.json')).json(), contract())
})

t.test('the contract is serialized once, not for each request (I07)', async (t) => {
  let written = 0
  const app = await testApp(t, {
    extend(app) {
      const swagger = app.swagger
      app.swagger = ((...args: []) => {
        written++
        return swagger(...args)
      }) as typeof swagger
    },
  })
  for (const url of ['/openapi.json', '/openapi.yaml', '/docs/json', '/docs/yaml']) {
    const first = await app.inject(url)
    t.equal(first.statusCode, 200, url)
    const before = written
    for (let count = 0; count < 5; count++) t.equal((await app.inject(url)).body, first.body, url)
    t.equal(written, before, `${url} again`)
  }
  t.same(parse((await app.inject('/docs/yaml')).body), (await app.inject('/docs/json')).json())
})

t.test(
  'the files of the page are compressed, cacheable, and not sent again while they are unchanged (I07)',
  async (t) => {
    const app = await testApp(t)
    const url = '/docs/static/swagger-ui-bundle.js'
    const plain = await app.inject(url)
    t.equal(plain.headers['content-encoding'], undefined)
    t.match(plain.headers, { 'cache-control': /^public, max-age=\d+$/, vary: 'accept-encoding' })
    const small = await app.inject({ url, headers: { 'accept-encoding': 'gzip, br' } })
    t.equal(small.headers['content-encoding'], 'gzip')
    t.ok(small.rawPayload.length < plain.rawPayload.length / 3)
    t.ok(gunzipSync(small.rawPayload).equals(plain.rawPayload))
    t.not(small.headers.etag, plain.headers.etag, 'each coding has its own ETag')

    for (const tag of [
      plain.headers.etag,
      small.headers.etag,
      `W/${plain.headers.etag}`,
      `"x", ${plain.headers.etag}`,
      '*',
    ]) {
      const known = await app.inject({ url, headers: { 'if-none-match': String(tag) } })
      t.equal(known.statusCode, 304, String(tag))
      t.equal(known.body, '')
      t.ok(known.headers.etag)
    }
    for (const tag of ['"x"', String(plain.headers.etag).slice(1, -1)]) {
      t.equal((await app.inject({ url, headers: { 'if-none-match': tag } })).statusCode, 200, tag)
    }
    for (const coding of ['gzip;q=0', 'identity', 'br', 'gzip;q=0.000']) {
      const answer = await app.inject({ url, headers: { 'accept-encoding': coding } })
      t.equal(answer.headers['content-encoding'], undefined, coding)
    }
  },
)
