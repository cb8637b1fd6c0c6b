import { createKey, createTask, defaults, listTasks, signUp } from '../out/oazapfts'
import { type Outcome, password, stranger, unexpected, type Wanted, wantedKey } from './outcome'

export async function flow({ url, email }: Wanted): Promise<Outcome> {
  defaults.baseUrl = url
  const signup = await signUp({ email, password, name: 'Alice' })
  if (signup.status !== 201) throw unexpected('signUp', signup)
  const { user, token } = signup.data
  defaults.headers = { authorization: `Bearer ${token}` }

  const task = await createTask(user.id, { title: 'Buy milk' })
  if (task.status !== 201) throw unexpected('createTask', task)

  const key = await createKey(wantedKey)
  if (key.status !== 201) throw unexpected('createKey', key)
  defaults.headers = { authorization: `Bearer ${key.data.key}` }
  const listed = await listTasks(user.id)
  if (listed.status !== 200) throw unexpected('listTasks', listed)

  const refused = await listTasks(stranger)
  if (refused.status !== 403) throw unexpected('listTasks', refused)
  return {
    name: user.name,
    title: task.data.title,
    byKey: listed.data.map(({ title }) => title),
    refused: { status: refused.status, code: refused.data.code },
  }
}
