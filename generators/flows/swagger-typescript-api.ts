import { Api, type HttpResponse, type Problem } from '../out/swagger-typescript-api'
import { type Outcome, password, stranger, unexpected, type Wanted } from './outcome'

export async function flow({ url, email }: Wanted): Promise<Outcome> {
  const client = new Api<string>({
    baseUrl: url,
    securityWorker: (token) => (token ? { headers: { authorization: `Bearer ${token}` } } : {}),
  })
  const { data: session } = await client.api.signUp({ email, password, name: 'Alice' })
  client.setSecurityData(session.token)
  const { data: task } = await client.api.createTask(session.user.id, { title: 'Buy milk' })

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
    refused: { status: refused.status, code: refused.error.code },
  }
}
