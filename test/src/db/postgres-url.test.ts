import t from 'tap'
import { pinnedTls } from '../../../src/db/postgres-url.ts'

t.test('sslmode is pinned to its present meaning, independent of later versions of pg', (t) => {
  for (const mode of ['require', 'prefer', 'verify-ca', 'verify-full']) {
    t.equal(
      pinnedTls(`postgres://db/x?a=b&sslmode=${mode}&c=d`),
      'postgres://db/x?a=b&sslmode=verify-full&c=d',
    )
  }
  for (const same of ['sslmode=disable', 'sslmode=no-verify', 'sslmode=require&uselibpqcompat=true']) {
    t.equal(pinnedTls(`postgres://db/x?${same}`), `postgres://db/x?${same}`)
  }
  t.end()
})
