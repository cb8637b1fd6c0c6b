import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { signUp } from '../../helper.ts'
import { brokenService, type Fault } from '../../support/broken-guard.ts'
import { holesOf, kindsOf, proved } from '../../support/prove.ts'
import { listeningApp, portOf } from '../../support/wire.ts'

const tasks = '/api/{user_id}/tasks'
const task = '/api/{user_id}/tasks/{task_id}'

/** The document that the app serves: it has the tasks, also where they are in tests only. Admin routes are no user's. */
const at = (app: FastifyInstance) => {
  const url = `http://127.0.0.1:${portOf(app)}`
  return { url, document: `${url}/openapi.json`, args: ['--skip', '/api/admin/*'] }
}

/** Without those of other resources. */
const ofTasks = (operations: string[]) => operations.filter((operation) => operation.includes(tasks))

t.test('this service: sound, with both users served, and nothing left behind', async (t) => {
  const app = await listeningApp(t)
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const run = await proved(t, {
    ...at(app),
    tokens: [alice.token, bob.token],
  })
  t.equal(run.code, 0, run.out)
  t.same(holesOf(run), [])
  const found = run.json.operations.filter(({ operation }) => operation.includes(tasks))
  t.same(
    found.map(({ operation, verdict, own }) => [operation, verdict, own]),
    [
      [`POST ${tasks}`, 'sound', { A: 201, B: 201 }],
      [`GET ${tasks}`, 'sound', { A: 200, B: 200 }],
      [`GET ${task}`, 'sound', { A: 200, B: 200 }],
      [`PUT ${task}`, 'sound', { A: 200, B: 200 }],
      [`PATCH ${task}`, 'sound', { A: 200, B: 200 }],
      [`DELETE ${task}`, 'sound', { A: 204, B: 204 }],
    ],
  )
  const [read] = found.filter(({ operation }) => operation === `GET ${task}`)
  t.same(
    read?.probes
      .filter(({ named_in }) => named_in === null)
      .map(({ kind, method, status }) => [kind, method, status]),
    [
      ['own_path', 'GET', 200],
      ['no_token', 'GET', 401],
      ['no_token', 'HEAD', 401],
      ['forged_signature', 'GET', 401],
      ['forged_signature', 'HEAD', 401],
      ['forged_alg_none', 'GET', 401],
      ['forged_alg_none', 'HEAD', 401],
      ['other_user', 'GET', 403],
      ['other_user', 'HEAD', 403],
      ['foreign_item', 'GET', 404],
    ],
  )
  t.same(run.json.left_behind, [])
  for (const user of [alice, bob]) t.same((await user.call('GET', user.tasks)).json(), [])
  t.match(run.err, /\[ *\d+\/\d+\] sound +POST \/api\/\{user_id\}\/tasks/)
  t.match(run.out, /^sound +DELETE \/api\/\{user_id\}\/tasks\/\{task_id\} +204 \/ 204 +401 +401 +403 +404 /m)
  t.match(run.junit, /<testsuite name="Latchkey" tests="\d+" failures="0"/)
})

const writes = [`POST ${tasks}`, `PUT ${task}`, `PATCH ${task}`, `DELETE ${task}`]
const expected: Record<Fault, { holes: string[]; kinds: string[] }> = {
  missing: {
    holes: [`POST ${tasks}`, `GET ${tasks}`, `GET ${task}`, `PUT ${task}`, `PATCH ${task}`, `DELETE ${task}`],
    kinds: ['other_user'],
  },
  'on another parameter': {
    holes: [`POST ${tasks}`, `GET ${tasks}`, `GET ${task}`, `PUT ${task}`, `PATCH ${task}`, `DELETE ${task}`],
    kinds: ['other_user_named in header'],
  },
  'only on GET': { holes: writes, kinds: ['other_user'] },
  "the body's user id believed": {
    holes: [`POST ${tasks}`, `PUT ${task}`, `PATCH ${task}`],
    kinds: ['owner_named in body'],
  },
}

for (const [fault, { holes, kinds }] of Object.entries(expected)) {
  t.test(`a copy of this service whose owner check is ${fault}: every hole, and nothing else`, async (t) => {
    const app = await brokenService(t, fault as Fault)
    const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
    const run = await proved(t, {
      ...at(app),
      tokens: [alice.token, bob.token],
    })
    t.equal(run.code, 1, run.err)
    t.same(ofTasks(holesOf(run)), holes, run.out)
    t.same(kindsOf(run), kinds)
    t.equal(run.json.counts['not_proven'], 0, run.out)
    for (const user of [alice, bob]) t.same((await user.call('GET', user.tasks)).json(), [], 'cleaned up')
    t.match(run.junit, new RegExp(`failures="${holesOf(run).length}"`))
  })
}
