import t from 'tap'
import {
  createLatchkey,
  isProblem,
  type Problem,
  type ProblemCode,
  type Schemas,
} from '../../../client/src/index.ts'
import { type ProblemCode as CatalogueCode, problemCodes } from '../../../src/problem.ts'

const codes: readonly ProblemCode[] = problemCodes
/** Besides those of resources. */
const back: readonly (CatalogueCode | `${string}_${'not_found' | 'limit_reached'}`)[] = codes

/** Never called: only compiled. */
export async function compiles(): Promise<void> {
  const client = createLatchkey({ baseUrl: 'http://latchkey.test' })
  const path = { user_id: 'user_1' }
  const { data, error } = await client.POST('/api/{user_id}/tasks', {
    params: { path },
    body: { title: 'x' },
  })
  const task: Schemas['Task'] | undefined = data
  const code: 'not_owner' | 'unauthorized' | ProblemCode | undefined = error?.code
  void [task, code]
  if (error?.status === 403) return
  const header = { 'idempotency-key': crypto.randomUUID() }
  await client.POST('/api/{user_id}/tasks', { params: { path, header }, body: { title: 'x' } })
  // @ts-expect-error no such path
  await client.GET('/api/nowhere')
  // @ts-expect-error no such method
  await client.DELETE('/api/auth/me')
  // @ts-expect-error a title is required
  await client.POST('/api/{user_id}/tasks', { params: { path }, body: {} })
  // @ts-expect-error a title is a string
  await client.POST('/api/{user_id}/tasks', { params: { path }, body: { title: 1 } })
  // @ts-expect-error an owner is required
  await client.GET('/api/{user_id}/tasks')
  // @ts-expect-error no such field
  void data?.owner
  const login = await client.session.logIn({ email: 'a@example.com', password: 'x' })
  if (login.error) {
    const known: 'invalid_credentials' | 'invalid_request' | string = login.error.code
    // @ts-expect-error not a code of this operation
    if (login.error.code === 'task_not_found') void known
  }
  if (login.next) {
    const step: 'second_factor' = login.next.step
    // @ts-expect-error a login that asks for more has no session
    void login.data.token
    void [step, (await client.session.secondFactor('123456')).data?.token, login.error.code]
  } else if (login.data) void login.data.token
  const renewed = await client.session.reauthenticate('x', '123456')
  const session: Schemas['Session'] | undefined = renewed.data
  void session
  // @ts-expect-error a password is required
  await client.session.reauthenticate()
  createLatchkey({ baseUrl: '', onStepUp: async ({ maxAge, acr }) => void [maxAge?.toFixed(), acr?.trim()] })
  // @ts-expect-error without a promise, the calls would not wait
  createLatchkey({ baseUrl: '', onStepUp: () => {} })
  // @ts-expect-error no such code
  isProblem(error, 'nonsense')
}

t.test('the codes of the client are those of the catalogue', async (t) => {
  t.same(back, problemCodes)
})

t.test('isProblem recognizes only problems of the service', async (t) => {
  const problem: Problem = {
    type: 'about:blank',
    title: 'Forbidden',
    status: 403,
    detail: 'Not authorized to access this resource',
    code: 'not_owner',
    request_id: 'x',
  }
  t.ok(isProblem(problem))
  t.ok(isProblem(problem, 'unauthorized', 'not_owner'))
  t.notOk(isProblem(problem, 'unauthorized'))
  for (const other of [
    undefined,
    null,
    'not_owner',
    {},
    new Error('x'),
    { code: 'ECONNRESET' },
    { request_id: 'x' },
  ])
    t.notOk(isProblem(other))
})
