import { Api, type HttpResponse, type Problem } from '../out/swagger-typescript-api'
import { type Outcome, password, stranger, unexpected, type Wanted, wantedKey } from './outcome'

export async function flow({ url, email }: Wanted): Promise<Outcome> {
  const client = new Api<string>({
    baseUrl: url,
    securityWorker: (token) => (token ? { headers: { authorization: `Bearer ${token}` } } : {}),
  })
  const { data: session } = await client.api.signUp({ email, password, name: 'Alice' })
  client.setSecurityData(session.token)
  const { data: task } = await client.api.createTask(session.user.id, { title: 'Buy milk' })

  const { data: key } = await client.api.createKey(wantedKey)
  client.setSecurityData(key.key)
  const { data: listed } = await client.api.listTasks(session.user.id)

  const refused = await client.api.listTasks(stranger).then(
    ({ data }) => {
      throw unexpected('listTasks', data)
    },
    // The client throws error responses, untyped.
    (answer: HttpResponse<never, Problem>) => answer,
  )
  return {
    name: session.user.name,
    title: task.title,
    byKey: listed.map(({ title }) => title),
    refused: { status: refused.status, code: refused.error.code },
  }
}
