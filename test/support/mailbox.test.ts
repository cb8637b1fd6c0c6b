import t from 'tap'
import { password, testApp } from '../helper.ts'
import { mailTo, post, tokenTo } from './mailbox.ts'

t.test('the newest mail is the one caused last, in whatever order a batch is delivered', async (t) => {
  const app = await testApp(t)
  const { mailbox } = app
  if (!mailbox) throw new Error('no mailbox')
  const send = mailbox.send.bind(mailbox)
  let release = () => {}
  const resetIsSent = new Promise<void>((resolve) => {
    release = resolve
  })
  mailbox.send = async (mail) => {
    if (mail.name === 'verify_email') await resetIsSent
    await send(mail)
    if (mail.name === 'reset_password') release()
  }
  const email = 'alice@example.com'
  t.equal((await post(app, 'signup', { email, password, name: 'Alice' })).statusCode, 201)
  t.equal((await post(app, 'password/forgot', { email })).statusCode, 202)
  t.same(
    (await mailTo(app, email)).map(({ name }) => name),
    ['reset_password', 'verify_email'],
  )
  const reset = { token: await tokenTo(app, email), new_password: 'another battery staple' }
  t.equal((await post(app, 'password/reset', reset)).statusCode, 204)
})
