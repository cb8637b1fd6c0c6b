import type { Locator, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { startChromium } from '../../support/chromium.ts'
import { listeningApp, portOf } from '../../support/wire.ts'

/** A folder for screenshots, to check the page by eye. */
const pictures = process.env['PICTURES']

async function picture(page: Page, name: string): Promise<void> {
  if (pictures) await page.screenshot({ path: `${pictures}/${name}.png` })
}

/** The page, and its console errors and failed requests. */
async function openDocs(t: Test): Promise<{ page: Page; problems: string[] }> {
  const app = await listeningApp(t)
  const browser = await startChromium(t)
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } })
  const problems: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text())
  })
  page.on('pageerror', (error) => problems.push(String(error)))
  page.on('requestfailed', (request) => problems.push(`${request.url()} failed`))
  await page.goto(`http://127.0.0.1:${portOf(app)}/docs`)
  await page.locator('.opblock').first().waitFor()
  return { page, problems }
}

/** Runs an operation with "Try it out". @returns the response shown */
async function tryOut(
  page: Page,
  operationId: string,
  { body, parameters = {} }: { body?: object; parameters?: Record<string, string> },
): Promise<{ block: Locator; status: string; answer: string }> {
  const block = page.locator(`[id$="-${operationId}"]`)
  await block.locator('.opblock-summary-control').click()
  await block.locator('button.try-out__btn').click()
  for (const [name, value] of Object.entries(parameters)) {
    await block.locator(`tr[data-param-name="${name}"] input`).fill(value)
  }
  if (body) await block.locator('textarea.body-param__text').fill(JSON.stringify(body, null, 2))
  await block.locator('button.execute').click()
  const shown = block.locator('.live-responses-table')
  await shown.waitFor()
  return {
    block,
    status: (await shown.locator('tr.response td.response-col_status').first().textContent()) ?? '',
    answer: (await shown.locator('tr.response .microlight').first().textContent()) ?? '',
  }
}

t.test('the page at /docs signs up, authorizes and creates a task, under its CSP', async (t) => {
  const { page, problems } = await openDocs(t)
  await picture(page, '1-docs')

  const signup = await tryOut(page, 'signUp', {})
  t.match(signup.status, /^201/)
  const { user, token } = JSON.parse(signup.answer)
  t.equal(user.name, 'Test User', 'the prefilled example is valid')
  await signup.block.locator('.responses-wrapper').scrollIntoViewIfNeeded()
  await picture(page, '2-signed-up')

  const refused = await tryOut(page, 'listTasks', { parameters: { user_id: user.id } })
  t.match(refused.status, /^401/, 'before the token is entered')
  t.match(JSON.parse(refused.answer), { code: 'unauthorized' })

  await page.locator('button.authorize').first().click()
  const bearer = page.locator('.auth-container').filter({ hasText: /^bearer/ })
  await bearer.locator('input').fill(token)
  await picture(page, '3-authorize')
  await bearer.locator('button.authorize').click()
  await bearer.locator('button.btn-done').click()

  const made = await tryOut(page, 'createTask', {
    parameters: { user_id: user.id },
    body: { title: 'Buy milk' },
  })
  t.match(made.status, /^201/)
  t.match(JSON.parse(made.answer), { title: 'Buy milk', user_id: user.id, completed: false })
  await made.block.locator('.responses-wrapper').scrollIntoViewIfNeeded()
  await picture(page, '4-task')

  const [refusal, ...others] = problems
  t.match(refusal, /401/, 'the one refused call')
  t.same(others, [], 'no violation of the CSP and no failure')
})
