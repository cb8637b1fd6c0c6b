import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import type { Test } from './postgres.ts'

/** The browser of CHROMIUM, or an installed one. Without one these tests fail; they are not skipped. */
function executable(): string {
  const named = process.env['CHROMIUM']
  if (named) return named
  for (const folder of (process.env['PATH'] ?? '').split(':')) {
    for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
      const path = join(folder, name)
      try {
        accessSync(path, constants.X_OK)
        return path
      } catch {}
    }
  }
  throw new Error('Chromium must be installed for this test, or CHROMIUM must name one')
}

export async function startChromium(t: Test): Promise<Browser> {
  // In a container there is neither a namespace for the sandbox nor a large /dev/shm.
  const args = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu']
  const browser = await chromium.launch({ executablePath: executable(), args })
  t.teardown(() => browser.close())
  return browser
}
