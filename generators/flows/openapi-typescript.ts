import createClient from 'openapi-fetch'
import type { paths } from '../out/openapi-typescript'
import { type Outcome, password, stranger, unexpected, type Wanted, wantedKey } from './outcome'

export async function flow({ url, email }: Wanted): Promise<Outcome> {
  const client = createClient<paths>({ baseUrl: url })
  const signup = await client.POST('/api/auth/signup', { body: { email, password, name: 'Alice' } })
  // 202 without a session: the service requires verification.
  if (!signup.data || !('token' in signup.data)) throw unexpected('signUp', signup.error)
  const { user, token } = signup.data
  let credential = token
  client.use({
    onRequest({ request }) {
      request.headers.set('authorization', `Bearer ${credential}`)
    },
  })

  const task = await client.POST('/api/{user_id}/tasks', {
    params: { path: { user_id: user.id } },
    body: { title: 'Buy milk' },
  })
  if (!task.data) throw unexpected('createTask', task.error)

  const key = await client.POST('/api/auth/keys', { body: wantedKey })
  if (!key.data) throw unexpected('createKey', key.error)
  credential = key.data.key
  const listed = await client.GET('/api/{user_id}/tasks', { params: { path: { user_id: user.id } } })
  if (!listed.data) throw unexpected('listTasks', listed.error)
  const byKey = listed.data.map(({ title }) => title)

  const refused = await client.GET('/api/{user_id}/tasks', { params: { path: { user_id: stranger } } })
  if (!refused.error) throw unexpected('listTasks', refused.data)
  const { status, code } = refused.error
  return { name: user.name, title: task.data.title, byKey, refused: { status, code } }
}
