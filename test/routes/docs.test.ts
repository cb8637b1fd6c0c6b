import t from 'tap'
import { parse } from 'yaml'
import { contract } from '../contract-file.ts'
import { problemOf, testApp } from '../helper.ts'

/** The sources that a policy gives for a directive, or for the default. */
function sourcesOf(policy: unknown, directive: string): string[] {
  const rows = String(policy)
    .split(';')
    .map((row) => row.trim().split(/\s+/))
  const row = rows.find(([name]) => name === directive) ?? rows.find(([name]) => name === 'default-src')
  return row?.slice(1) ?? ['*']
}

t.test('/docs is a page that runs no script but its own files', async (t) => {
  const app = await testApp(t)
  const page = await app.inject('/docs')
  t.equal(page.statusCode, 200)
  t.match(page.headers['content-type'], /^text\/html/)

  const policy = page.headers['content-security-policy']
  t.same(sourcesOf(policy, 'script-src'), ["'self'"])
  t.same(sourcesOf(policy, 'connect-src'), ["'self'"], 'tries only this service')
  t.same(sourcesOf(policy, 'frame-ancestors'), ["'none'"])
  t.notMatch(policy, /https:|upgrade-insecure-requests/, 'loads nothing of another host, and works on http')

  const scripts = page.body.match(/<script[^>]*>/g) ?? []
  t.not(scripts.length, 0)
  for (const script of scripts) {
    const source = /src="(\/docs\/[^"]+)"/.exec(script)?.[1] ?? 'inline'
    t.equal((await app.inject(source)).statusCode, 200, source)
  }
})

t.test('behind a gateway with a prefix, the page names its files and the service with it', async (t) => {
  const app = await testApp(t, { env: { PUBLIC_URL: 'https://api.example.com/identity' } })
  const sources = [...(await app.inject('/docs')).body.matchAll(/<script[^>]*src="([^"]+)"/g)].map(
    ([, source]) => source,
  )
  t.not(sources.length, 0)
  for (const source of sources) t.match(source, /^\/identity\/docs\//)
})

t.test('the contract names the path of PUBLIC_URL as its server, in each of its spellings', async (t) => {
  const bases = {
    'https://api.example.com/identity': '/identity',
    'https://api.example.com/a/b/': '/a/b',
    'https://api.example.com/': '/',
    'https://api.example.com': '/',
  }
  for (const [PUBLIC_URL, url] of Object.entries(bases)) {
    const app = await testApp(t, { env: { PUBLIC_URL } })
    const documents = [
      (await app.inject('/openapi.json')).json(),
      parse((await app.inject('/openapi.yaml')).body),
      (await app.inject('/docs/json')).json(),
    ]
    for (const { servers } of documents) t.match(servers, [{ url }], PUBLIC_URL)
  }
  t.match(contract().servers, [{ url: '/' }], 'the committed one is for every installation')
})

t.test('openapi.json and openapi.yaml are one document', async (t) => {
  const app = await testApp(t)
  const json = await app.inject('/openapi.json')
  const yaml = await app.inject('/openapi.yaml')
  t.equal(json.statusCode, 200)
  t.equal(yaml.statusCode, 200)
  t.match(yaml.headers['content-type'], /^application\/yaml/)
  t.match(json.json(), { openapi: '3.1.0', info: { title: 'Latchkey' } })
  t.same(parse(yaml.body), json.json())
})

t.test('I07: DOCS=off leaves the page out, and the contract in', async (t) => {
  const app = await testApp(t, { env: { DOCS: 'off' } })
  for (const url of ['/docs', '/docs/', '/docs/json', '/docs/static/swagger-ui-bundle.js']) {
    t.match(problemOf(await app.inject(url)), { status: 404, code: 'not_found' }, url)
  }
  t.same((await app.inject('/openapi.json')).json(), contract())
})
