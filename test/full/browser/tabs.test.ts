import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import type { BrowserContext, Page } from 'playwright-core'
import t from 'tap'
import { password } from '../../helper.ts'
import { startChromium } from '../../support/chromium.ts'
import { type Service, service } from '../../support/client-service.ts'

/** A minimal app; its refreshes are slow enough to collide. */
const page = `<!doctype html>
<title>tab</title>
<script type="importmap">
  { "imports": { "latchkey-client": "/app/client/index.js", "openapi-fetch": "/app/openapi-fetch.js" } }
</script>
<script type="module">
  import { createLatchkey, webStorage } from 'latchkey-client'
  const pause = () => new Promise((resolve) => setTimeout(resolve, 100))
  globalThis.ends = 0
  globalThis.stepUps = 0
  globalThis.client = createLatchkey({
    baseUrl: '',
    storage: webStorage(localStorage),
    onSessionEnd: () => globalThis.ends++,
    onStepUp: async () => {
      globalThis.stepUps++
      await pause()
      await client.session.reauthenticate('${password}')
    },
    fetch: async (request) => {
      if (request.url.endsWith('/api/auth/refresh')) await pause()
      return fetch(request)
    },
  })
  globalThis.ask = async (times, path = '/api/auth/me') => {
    const answers = await Promise.all(Array.from({ length: times }, () => client.GET(path)))
    return answers.map(({ response }) => response.status)
  }
</script>`

const file = (path: string) => readFileSync(join(import.meta.dirname, '../../../..', path), 'utf8')

function serveApp(app: FastifyInstance): void {
  const serve = (url: string, type: string, text: (name: string) => string) =>
    app.get<{ Params: { name: string } }>(url, { config: { access: 'public' } }, async (request, reply) =>
      reply.header('content-security-policy', '').type(type).send(text(request.params.name)),
    )
  app.get('/app/recent', { config: { access: 'user', maxAge: 600 } }, async () => ({}))
  serve('/app', 'text/html', () => page)
  serve('/app/openapi-fetch.js', 'text/javascript', () => file('node_modules/openapi-fetch/dist/index.mjs'))
  serve('/app/client/:name', 'text/javascript', (name) => file(`dist/client/src/${name}`))
}

async function openTab(context: BrowserContext, { url }: Service): Promise<Page> {
  const tab = await context.newPage()
  await tab.goto(`${url}/app`)
  await tab.waitForFunction('globalThis.ask')
  return tab
}

const ask = (tab: Page) => tab.evaluate<number[]>('ask(10)')
const good = Array.from({ length: 20 }, () => 200)

t.test('two tabs that refresh concurrently send one refresh, and keep the session', async (t) => {
  const latchkey = await service(t, serveApp)
  const browser = await startChromium(t)
  const context = await browser.newContext()
  const [one, two] = [await openTab(context, latchkey), await openTab(context, latchkey)]
  const account = JSON.stringify({ email: 'alice@example.com', password, name: 'Alice' })
  await one.evaluate(`client.session.signUp(${account})`)
  t.same((await Promise.all([ask(one), ask(two)])).flat(), good, 'the other tab has the session too')

  for (let round = 0; round < 5; round++) {
    latchkey.expireTokens()
    t.same((await Promise.all([ask(one), ask(two)])).flat(), good)
    t.equal(latchkey.refreshes(), 1)
  }
  await one.reload()
  await one.waitForFunction('globalThis.ask')
  latchkey.expireTokens()
  t.same((await Promise.all([ask(one), ask(two)])).flat(), good, 'after a reload')
  t.same([await one.evaluate('ends'), await two.evaluate('ends')], [0, 0])

  await one.evaluate('client.session.logOut()')
  t.same([...new Set(await ask(two))], [401])
  t.same(
    [await one.evaluate('ends'), await two.evaluate('ends')],
    [0, 1],
    'the other tab is notified of the logout',
  )
})

t.test('two tabs with calls that need a recent login ask in one of them, once', async (t) => {
  const latchkey = await service(t, serveApp)
  const browser = await startChromium(t)
  const context = await browser.newContext()
  const [one, two] = [await openTab(context, latchkey), await openTab(context, latchkey)]
  const account = JSON.stringify({ email: 'alice@example.com', password, name: 'Alice' })
  await one.evaluate(`client.session.signUp(${account})`)
  const askRecent = (tab: Page) => tab.evaluate<number[]>("ask(10, '/app/recent')")
  for (let round = 1; round <= 3; round++) {
    await sql`update sessions set authenticated_at = now() - interval '1 hour'`.execute(latchkey.app.db)
    await one.evaluate('client.session.refresh()')
    t.same(await ask(two), good.slice(10), 'the other tab has the tokens')
    t.same((await Promise.all([askRecent(one), askRecent(two)])).flat(), good)
    const asked = [await one.evaluate<number>('stepUps'), await two.evaluate<number>('stepUps')]
    t.equal((asked[0] ?? 0) + (asked[1] ?? 0), round)
  }
  t.same([await one.evaluate('ends'), await two.evaluate('ends')], [0, 0])
})

t.test('without Web Locks both tabs refresh, and the grace of the service keeps the session', async (t) => {
  const latchkey = await service(t, serveApp)
  const browser = await startChromium(t)
  const context = await browser.newContext()
  await context.addInitScript('Object.defineProperty(navigator, "locks", { value: undefined })')
  const [one, two] = [await openTab(context, latchkey), await openTab(context, latchkey)]
  const account = JSON.stringify({ email: 'alice@example.com', password, name: 'Alice' })
  await one.evaluate(`client.session.signUp(${account})`)

  let collisions = 0
  for (let round = 0; round < 20 && collisions < 3; round++) {
    latchkey.expireTokens()
    t.same((await Promise.all([ask(one), ask(two)])).flat(), good)
    if (latchkey.refreshes() === 2) collisions++
  }
  t.equal(collisions, 3, 'without the lock, refreshes collide')
  t.same([await one.evaluate('ends'), await two.evaluate('ends')], [0, 0])
})
