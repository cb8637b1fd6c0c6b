// The script of /dev/account: every step by latchkey-client, as a frontend would take it. Tokens are in memory only.
import { createLatchkey } from '../../../../client/src/index.ts'
import { onClick, onSubmit, section, show } from './dom.ts'
import { forgetSecrets, showFactor, startFactor } from './factor.ts'
import { say, sayOf } from './message.ts'
import { listSessions } from './sessions.ts'
import { askAgain, startStepUp } from './step-up.ts'

const latchkey = createLatchkey({
  baseUrl: document.body.dataset['base'] ?? '',
  onSessionEnd: () => leave('The session has ended.'),
  onStepUp: askAgain,
})

function leave(text: string): void {
  forgetSecrets()
  for (const id of ['sessions', 'user', 'claims']) section(id).replaceChildren()
  show('signed-out')
  say(text)
}

async function enter(text: string): Promise<boolean> {
  show('signed-in')
  say(text)
  await refreshView()
  return true
}

async function refreshView(): Promise<void> {
  const user = await latchkey.session.user()
  if (!user) return
  section('user').textContent = `${user.name}, ${user.email} (${user.id})`
  section('claims').textContent = claimsOf((await latchkey.session.token()) ?? '')
  await Promise.all([listSessions(latchkey), showFactor(latchkey)])
}

/** How the access token says that its user has authenticated. */
function claimsOf(token: string): string {
  const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
  const { acr, amr, auth_time } = JSON.parse(atob(payload))
  return `acr ${acr}, amr ${amr.join(' ')}, auth_time ${new Date(auth_time * 1000).toLocaleTimeString('en-GB')}`
}

onSubmit('sign-up', async (field) => {
  const body = { name: field('name'), email: field('email'), password: field('password') }
  const answer = await latchkey.session.signUp(body)
  if (!sayOf(answer, 'A mail contains the next step: see the mailbox.')) return false
  return (await latchkey.session.user()) ? enter('The account is created. Its mail is in the mailbox.') : true
})

onSubmit('log-in', async (field) => {
  const answer = await latchkey.session.logIn({ email: field('email'), password: field('password') })
  if (answer.next) {
    show('code-wanted')
    say('The password is right. Now the code.')
    return true
  }
  return sayOf(answer, '') && enter('You are logged in.')
})

onSubmit('second-factor', async (field) => {
  const answer = await latchkey.session.secondFactor(field('code'))
  if (answer.error?.code === 'invalid_token') {
    leave('')
    return !sayOf(answer, '')
  }
  return sayOf(answer, '') && enter('You are logged in with a second factor.')
})

onClick('back', async () => {
  await latchkey.session.forget()
  leave('')
})
onClick('reload', async () => {
  say('')
  await refreshView()
})
onClick('log-out', async () => {
  const answer = await latchkey.session.logOut()
  if (sayOf(answer, '')) leave('You are logged out.')
})

startFactor(latchkey)
startStepUp(latchkey, refreshView)
show('signed-out')
