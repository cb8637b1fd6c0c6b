import type { Locator, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { startChromium } from '../support/chromium.ts'
import { listeningApp, portOf } from '../support/wire.ts'

/** Where pictures of the page go, for a person who wants to look at it. */
const pictures = process.env['PICTURES']

async function picture(page: Page, name: string): Promise<void> {
  if (pictures) await page.screenshot({ path: `${pictures}/${name}.png` })
}

/** The page, and everything that it complained of. */
async function openDocs(t: Test): Promise<{ page: Page; complaints: string[] }> {
  const app = await listeningApp(t)
  const browser = await startChromium(t)
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } })
  const complaints: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('requestfailed', (request) => complaints.push(`${request.url()} failed`))
  await page.goto(`http://127.0.0.1:${portOf(app)}/docs`)
  await page.locator('.opblock').first().waitFor()
  return { page, complaints }
}

/** Tries an operation in the page, as a reader would, and reads the answer that it shows. */
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

t.test('the page at /docs signs up, authorizes and makes a task, under its policy', async (t) => {
  const { page, complaints } = await openDocs(t)
  await picture(page, '1-docs')

  const signup = await tryOut(page, 'signUp', {})
  t.match(signup.status, /^201/)
  const { user, token } = JSON.parse(signup.answer)
  t.equal(user.name, 'Test User', 'what the page fills in can be sent as it is')
  await signup.block.locator('.responses-wrapper').scrollIntoViewIfNeeded()
  await picture(page, '2-signed-up')

  const refused = await tryOut(page, 'listTasks', { parameters: { user_id: user.id } })
  t.match(refused.status, /^401/, 'before the token is given')
  t.match(JSON.parse(refused.answer), { code: 'unauthorized' })

  await page.locator('button.authorize').first().click()
  await page.locator('.auth-container input').fill(token)
  await picture(page, '3-authorize')
  await page.locator('.auth-container button.authorize').click()
  await page.locator('.auth-container button.btn-done').click()

  const made = await tryOut(page, 'createTask', {
    parameters: { user_id: user.id },
    body: { title: 'Buy milk' },
  })
  t.match(made.status, /^201/)
  t.match(JSON.parse(made.answer), { title: 'Buy milk', user_id: user.id, completed: false })
  await made.block.locator('.responses-wrapper').scrollIntoViewIfNeeded()
  await picture(page, '4-task')

  const [refusal, ...others] = complaints
  t.match(refusal, /401/, 'the one refused call')
  t.same(others, [], 'and nothing that the policy refused, or that failed')
})
