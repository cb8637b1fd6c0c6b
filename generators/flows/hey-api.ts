import { createKey, createTask, listTasks, signUp } from '../out/hey-api'
import { client } from '../out/hey-api/client.gen'
import { type Outcome, password, stranger, unexpected, type Wanted, wantedKey } from './outcome'

export async function flow({ url, email }: Wanted): Promise<Outcome> {
  client.setConfig({ baseUrl: url })
  const signup = await signUp({ body: { email, password, name: 'Alice' } })
  // 202 without a session: the service requires verification.
  if (!signup.data || !('token' in signup.data)) throw unexpected('signUp', signup.error)
  const { user, token } = signup.data
  client.setConfig({ auth: token })

  const task = await createTask({ path: { user_id: user.id }, body: { title: 'Buy milk' } })
  if (!task.data) throw unexpected('createTask', task.error)

  const key = await createKey({ body: wantedKey })
  if (!key.data) throw unexpected('createKey', key.error)
  client.setConfig({ auth: key.data.key })
  const listed = await listTasks({ path: { user_id: user.id } })
  if (!listed.data) throw unexpected('listTasks', listed.error)
  const byKey = listed.data.map(({ title }) => title)

  const refused = await listTasks({ path: { user_id: stranger } })
  if (!refused.error) throw unexpected('listTasks', refused.data)
  const { status, code } = refused.error
  return { name: user.name, title: task.data.title, byKey, refused: { status, code } }
}
