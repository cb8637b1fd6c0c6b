import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { migratedDatabase, testConfig } from '../helper.ts'
import type { Test } from './postgres.ts'

/** Ways to get a guard wrong. */
export type Fault = 'missing' | 'on another parameter' | 'only on GET' | "the body's user id believed"

const check = 'request[granted] = assertOwned(verified(request), userId);'
const hook = 'if (preHandler) route.preHandler ='

/** What of the compiled guard becomes what. */
const changes: Record<Fault, readonly (readonly [string, string])[]> = {
  missing: [[check, 'request[granted] = userId;']],
  'on another parameter': [
    [
      check,
      "assertOwned(verified(request), request.headers['x-user-id'] ?? userId); request[granted] = userId;",
    ],
  ],
  'only on GET': [
    [check, "if (!['GET', 'HEAD'].includes(request.method)) request[granted] = userId; else ".concat(check)],
  ],
  "the body's user id believed": [
    [
      check,
      'const owner = assertOwned(verified(request), userId); request[granted] = request.believed ?? owner;',
    ],
    [
      hook,
      'if (preHandler) route.preValidation = (request, _, next) => { request.believed = request.body?.user_id; delete request.body?.user_id; next() };'.concat(
        hook,
      ),
    ],
  ],
}

const dist = join(import.meta.dirname, '../..')

/** This service with a guard that has a fault: copies of three compiled files, each of which imports the next. */
export async function brokenService(t: Test, fault: Fault): Promise<FastifyInstance> {
  const suffix = `.broken-${Object.keys(changes).indexOf(fault)}.js`
  const copy = (file: string, replaced: readonly (readonly [string, string])[]) => {
    let text = readFileSync(join(dist, file), 'utf8')
    for (const [before, after] of replaced) {
      if (!text.includes(before)) throw new Error(`${file} has no "${before}" to break`)
      text = text.replace(before, after)
    }
    const path = join(dist, file.replace(/\.js$/, suffix))
    writeFileSync(path, text.replace(/^\/\/# sourceMappingURL.*$/m, ''))
    t.teardown(() => rmSync(path))
    return path
  }
  copy('plugins/guard.js', changes[fault])
  copy('plugins/auth.js', [['"./guard.js"', `"./guard${suffix}"`]])
  const app = copy('src/app.js', [['"../plugins/auth.js"', `"../plugins/auth${suffix}"`]])
  const { buildApp } = (await import(app)) as typeof import('../../src/app.ts')
  const broken = await buildApp(testConfig(), { db: await migratedDatabase(t) })
  t.teardown(() => broken.close())
  await broken.listen({ port: 0, host: '127.0.0.1' })
  return broken
}
