import t from 'tap'
import { signUp } from '../helper.ts'
import { exchange, listeningApp } from '../support/wire.ts'

t.test('a request with two tokens is refused, even if one or both are valid (A31)', async (t) => {
  const app = await listeningApp(t)
  const { token } = await signUp(app, 'alice')
  const get = (...headers: string[]) =>
    exchange(
      app,
      ['GET /api/auth/me HTTP/1.1', 'Host: x', 'Connection: close', ...headers, '', ''].join('\r\n'),
    )
  const good = `Authorization: Bearer ${token}`
  t.equal((await get(good)).status, 200)
  const pairs = [
    [good, 'Authorization: Bearer bad'],
    ['Authorization: Bearer bad', good],
    [good, good],
    [good, `authorization: Bearer ${token}`],
    [good, 'Authorization: Basic YTpi'],
    [good, 'Authorization:'],
  ]
  for (const pair of pairs) {
    const answer = await get(...pair)
    t.equal(answer.status, 400)
    t.equal(JSON.parse(answer.body).code, 'invalid_request')
    t.equal(answer.headers['www-authenticate'], 'Bearer error="invalid_request"')
  }
})
