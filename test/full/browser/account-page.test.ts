import { sql } from 'kysely'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { password } from '../../helper.ts'
import { Authenticator } from '../../support/authenticator.ts'
import { startChromium } from '../../support/chromium.ts'
import { listeningApp, portOf } from '../../support/wire.ts'

/** A folder for screenshots, to check the page by eye. */
const pictures = process.env['PICTURES']

/** Light and dark, wide and narrow. */
async function picture(page: Page, name: string): Promise<void> {
  if (!pictures) return
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1000, 360]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 800 })
      await page.screenshot({ path: `${pictures}/${name}-${colorScheme}-${width}.png`, fullPage: true })
    }
  }
}

/** The service with a clock, and a browser on its page; what the console reports is kept. */
async function opened(t: Test, basePath = '') {
  let now = Math.floor(Date.now() / 1000)
  const app = await listeningApp(t, {
    clock: () => now,
    env: { NODE_ENV: 'development', PUBLIC_URL: `http://127.0.0.1:8000${basePath}` },
  })
  const browser = await startChromium(t)
  const origin = `http://127.0.0.1:${portOf(app)}`
  const problems: string[] = []
  async function open(): Promise<Page> {
    const page = await browser.newPage({ viewport: { width: 1000, height: 800 } })
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text())
    })
    page.on('pageerror', (error) => problems.push(String(error)))
    page.on('requestfailed', (request) => problems.push(`${request.url()} failed`))
    await page.goto(`${origin}${basePath}/dev/account`)
    await page.locator('#signed-out').waitFor()
    return page
  }
  return {
    app,
    open,
    problems,
    clock: () => now,
    nextStep: () => {
      now += 30
    },
    expireTokens: () => {
      now += 16 * 60
    },
  }
}

/** Fills a form in and submits it. */
async function submit(page: Page, form: string, fields: Record<string, string>): Promise<void> {
  for (const [name, value] of Object.entries(fields))
    await page.locator(`#${form} [name=${name}]`).fill(value)
  await page.locator(`#${form} button`).first().click()
}

async function said(t: Test, page: Page, text: RegExp): Promise<void> {
  await page.locator('#message').filter({ hasText: text }).waitFor({ timeout: 60_000 })
  t.pass(`the page says ${text}`)
}

const account = { email: 'alice@example.com', password }

t.test('/dev/account: from signup to a login with a second factor, and its removal', async (t) => {
  const { app, open, problems, clock, nextStep, expireTokens } = await opened(t)
  const page = await open()
  await picture(page, '1-signed-out')
  await submit(page, 'sign-up', { name: 'Alice', ...account })
  await said(t, page, /account is created/)
  t.match(await page.locator('#user').textContent(), 'Alice, alice@example.com (user_')
  t.match(await page.locator('#claims').textContent(), 'acr aal1, amr pwd')
  await page.locator('#sessions li').nth(1).waitFor({ state: 'detached' })
  t.equal(await page.locator('#sessions li').count(), 1)
  t.same(await page.evaluate('[localStorage.length, sessionStorage.length, document.cookie]'), [0, 0, ''])

  const other = await open()
  await submit(other, 'log-in', account)
  await said(t, other, /logged in/)
  await page.locator('#reload').click()
  await page.locator('#sessions li').nth(1).waitFor()
  await picture(page, '2-sessions')
  await page
    .locator('#sessions li')
    .filter({ hasText: 'Another session' })
    .getByRole('button', { name: 'End' })
    .click()
  await said(t, page, /session has ended/)
  t.equal(await page.locator('#sessions li').count(), 1)
  await other.locator('#reload').click()
  await said(t, other, /session has ended/)
  t.ok(await other.locator('#signed-out').isVisible())

  await submit(page, 'set-up', { password: 'not the password' })
  await said(t, page, /invalid_credentials/)
  await submit(page, 'set-up', { password })
  await page.locator('#qr svg').waitFor()
  const secret = (await page.locator('#secret').textContent())?.replaceAll(' ', '') ?? ''
  const link = new URL((await page.locator('#otpauth').getAttribute('href')) ?? '')
  t.equal(link.protocol, 'otpauth:')
  t.equal(link.searchParams.get('secret'), secret)
  await picture(page, '3-set-up')
  const authenticator = new Authenticator(secret, clock)
  await submit(page, 'confirm', { code: authenticator.wrongCode() })
  await said(t, page, /invalid_code/)
  await submit(page, 'confirm', { code: authenticator.code() })
  await page.locator('#codes li').nth(9).waitFor()
  const [recoveryCode = ''] = await page.locator('#codes li').allTextContents()
  t.match(await page.locator('#factor-state').textContent(), '10 recovery codes are left')
  await picture(page, '4-recovery-codes')
  await page.locator('#kept').click()
  await page.locator('#factor-on').waitFor()
  const html = await page.content()
  for (const [what, text] of Object.entries({ secret, recoveryCode, link: link.href }))
    t.notOk(html.includes(text), `${what} is shown once`)

  nextStep()
  await submit(page, 'reauthenticate', { password, code: authenticator.code() })
  await said(t, page, /authenticated again/)
  t.match(await page.locator('#claims').textContent(), 'acr aal2, amr pwd otp')
  await picture(page, '5-second-factor')
  await page.locator('#log-out').click()
  await said(t, page, /logged out/)

  await submit(page, 'log-in', account)
  await page.locator('#code-wanted').waitFor()
  await picture(page, '6-code')
  await submit(page, 'second-factor', { code: authenticator.wrongCode() })
  await said(t, page, /invalid_code/)
  nextStep()
  await submit(page, 'second-factor', { code: authenticator.code() })
  await said(t, page, /with a second factor/)
  t.match(await page.locator('#factor-state').textContent(), '10 recovery codes')
  await submit(page, 'remove', { code: recoveryCode })
  await said(t, page, /removed/)
  await page.locator('#factor-off').waitFor()
  await page.locator('#log-out').click()
  await said(t, page, /logged out/)
  await submit(page, 'log-in', account)
  await said(t, page, /You are logged in\.$/)

  const alice = await app.db.selectFrom('users').select('id').executeTakeFirstOrThrow()
  await sql`update sessions set authenticated_at = now() - interval '2 hours' where user_id = ${alice.id}`.execute(
    app.db,
  )
  expireTokens()
  const end = page.locator('#sessions li').getByRole('button', { name: 'End' })
  await end.click()
  await page.locator('#step-up').waitFor()
  await submit(page, 'step-up-form', { password: 'not the password' })
  await page.locator('#step-up-refusal').filter({ hasText: 'invalid_credentials' }).waitFor()
  await picture(page, '7-step-up')
  await page.locator('#give-up').click()
  await said(t, page, /insufficient_user_authentication/)
  await end.click()
  await submit(page, 'step-up-form', { password })
  await said(t, page, /session has ended/)
  await page.locator('#signed-out').waitFor()

  t.same(
    problems.filter((text) => !/status of 40[13]/.test(text)),
    [],
    'no violation of the CSP and no failure',
  )
})

t.test("behind a gateway's prefix the page calls the service under it", async (t) => {
  const { open, problems } = await opened(t, '/identity')
  const page = await open()
  await submit(page, 'sign-up', { name: 'Bob', email: 'bob@example.com', password })
  await said(t, page, /account is created/)
  t.same(problems, [])
})
