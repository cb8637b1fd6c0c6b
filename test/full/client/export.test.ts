import { sql } from 'kysely'
import t from 'tap'
import { password } from '../../helper.ts'
import { customer, service } from '../../support/client-service.ts'

t.test('the export of an account arrives as a file, once the user has logged in again', async (t) => {
  const latchkey = await service(t)
  const asked: unknown[] = []
  const { client, id } = await customer(latchkey, 'alice', {
    onStepUp: async (need) => {
      asked.push(need)
      await client.session.reauthenticate(password)
    },
  })
  await sql`update sessions set authenticated_at = now() - interval '1 hour'`.execute(latchkey.app.db)
  await client.session.refresh()
  const { data } = await client.GET('/api/auth/me/export', { parseAs: 'blob' })
  const lines = (await data?.text())
    ?.trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.same(asked, [{ maxAge: 300 }])
  t.match(lines?.at(0), { kind: 'export', data: { user_id: id } })
  t.match(lines?.at(-1), { kind: 'end', data: { rows: Number } })
})
