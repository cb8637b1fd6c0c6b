import type { Latchkey, StepUpNeed } from '../../../../client/src/index.ts'
import { byId, onClick, onSubmit, section } from './dom.ts'
import { say, sayOf } from './message.ts'

/** Asks for the password, and perhaps a code, until the user has authenticated again or given up. */
export async function askAgain({ acr }: StepUpNeed): Promise<void> {
  const dialog = byId('step-up', HTMLDialogElement)
  section('step-up-need').textContent =
    acr === 'aal2' ? 'This needs a login with a second factor.' : 'This needs a more recent login.'
  say('')
  dialog.showModal()
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }))
}

/** @param refresh shows the session anew */
export function startStepUp(latchkey: Latchkey, refresh: () => Promise<void>): void {
  const dialog = byId('step-up', HTMLDialogElement)
  for (const form of ['reauthenticate', 'step-up-form']) {
    onSubmit(form, async (field) => {
      const code = field('code')
      const answer = await latchkey.session.reauthenticate(field('password'), code === '' ? undefined : code)
      if (!sayOf(answer, 'You have authenticated again: the session has a new time of login.')) {
        section('step-up-refusal').textContent = section('message').textContent
        return false
      }
      section('step-up-refusal').replaceChildren()
      dialog.close()
      await refresh()
      return true
    })
  }
  onClick('give-up', async () => dialog.close())
}
