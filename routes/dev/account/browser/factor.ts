import type { Latchkey } from '../../../../client/src/index.ts'
import { byId, element, onClick, onSubmit, section, show } from './dom.ts'
import { say, sayOf } from './message.ts'
import { drawQr } from './qr.ts'
import { listSessions, time } from './sessions.ts'

/** Shows whether the account has a second factor, and what can be done about it. */
export async function showFactor(latchkey: Latchkey): Promise<void> {
  const { data } = await latchkey.GET('/api/auth/mfa')
  if (!data) return
  const { totp, recovery_codes_left: left } = data
  section('factor-state').textContent = totp.confirmed_at
    ? `An authenticator app since ${time(totp.confirmed_at)}; ${left} recovery codes are left.`
    : 'None: a login takes the password only.'
  show(totp.enabled ? 'factor-on' : 'factor-off')
}

export function startFactor(latchkey: Latchkey): void {
  onSubmit('set-up', async (field) => {
    const answer = await latchkey.POST('/api/auth/mfa/totp', { body: { password: field('password') } })
    if (!sayOf(answer, '') || !answer.data) return false
    drawQr(section('qr'), answer.data.otpauth_uri)
    section('secret').textContent = answer.data.secret.replace(/.{4}(?=.)/g, '$& ')
    byId('otpauth', HTMLAnchorElement).href = answer.data.otpauth_uri
    show('factor-setup')
    return true
  })

  onSubmit('confirm', async (field) => {
    const answer = await latchkey.POST('/api/auth/mfa/totp/confirm', { body: { code: field('code') } })
    if (!sayOf(answer, 'The second factor is set up; other sessions have ended.')) return false
    await Promise.all([showFactor(latchkey), listSessions(latchkey)])
    showCodes(answer.data?.recovery_codes ?? [])
    return true
  })

  onSubmit('renew', async (field) => {
    const answer = await latchkey.POST('/api/auth/mfa/recovery-codes', { body: { code: field('code') } })
    if (!sayOf(answer, 'The earlier recovery codes work no more.')) return false
    await showFactor(latchkey)
    showCodes(answer.data?.recovery_codes ?? [])
    return true
  })

  onSubmit('remove', async (field) => {
    const answer = await latchkey.POST('/api/auth/mfa/totp/delete', { body: { code: field('code') } })
    if (!sayOf(answer, 'The second factor is removed; other sessions have ended.')) return false
    await Promise.all([showFactor(latchkey), listSessions(latchkey)])
    return true
  })

  const leave = () => {
    forgetSecrets()
    say('')
    return showFactor(latchkey)
  }
  onClick('cancel', leave)
  onClick('kept', leave)
}

function showCodes(codes: readonly string[]): void {
  forgetSecrets()
  section('codes').replaceChildren(...codes.map((code) => element('li', element('code', code))))
  show('factor-codes')
}

/** Takes what is shown once out of the page. */
export function forgetSecrets(): void {
  for (const id of ['qr', 'secret', 'codes']) section(id).replaceChildren()
  byId('otpauth', HTMLAnchorElement).removeAttribute('href')
}
