import createClient from 'openapi-fetch'
import type { paths } from '../out/openapi-typescript'
import { type Outcome, password, stranger, unexpected, type Wanted } from './outcome'

export async function flow({ url, email }: Wanted): Promise<Outcome> {
  const client = createClient<paths>({ baseUrl: url })
  const signup = await client.POST('/api/auth/signup', { body: { email, password, name: 'Alice' } })
  // 202 without a session: the service requires verification.
  if (!signup.data || !('token' in signup.data)) throw unexpected('signUp', signup.error)
  const { user, token } = signup.data
  client.use({
    onRequest({ request }) {
      request.headers.set('authorization', `Bearer ${token}`)
    },
  })

  const task = await client.POST('/api/{user_id}/tasks', {
    params: { path: { user_id: user.id } },
    body: { title: 'Buy milk' },
  })
  if (!task.data) throw unexpected('createTask', task.error)

  const refused = await client.GET('/api/{user_id}/tasks', { params: { path: { user_id: stranger } } })
  if (!refused.error) throw unexpected('listTasks', refused.data)
  const { status, code } = refused.error
  return { name: user.name, title: task.data.title, refused: { status, code } }
}
