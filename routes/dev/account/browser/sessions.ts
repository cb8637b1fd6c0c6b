import type { Latchkey, Schemas } from '../../../../client/src/index.ts'
import { element, section } from './dom.ts'
import { sayOf } from './message.ts'

/** Lists the user's sessions, each with a button that ends it. */
export async function listSessions(latchkey: Latchkey): Promise<void> {
  const { data } = await latchkey.GET('/api/auth/sessions')
  if (data) section('sessions').replaceChildren(...data.map((session) => itemOf(latchkey, session)))
}

function itemOf(latchkey: Latchkey, session: Schemas['SessionInfo']): HTMLElement {
  const end = element('button', 'End')
  end.type = 'button'
  end.addEventListener('click', async () => {
    const path = { session_id: session.id }
    const answer = await latchkey.DELETE('/api/auth/sessions/{session_id}', { params: { path } })
    if (sayOf(answer, 'The session has ended.')) await listSessions(latchkey)
  })
  const facts = element(
    'div',
    element('strong', session.current ? 'This session' : 'Another session'),
    element(
      'span',
      `since ${time(session.created_at)}, last used ${time(session.last_used_at)}, from ${session.ip}`,
    ),
    element('small', session.user_agent),
  )
  return element('li', facts, end)
}

export function time(iso: string): string {
  return new Date(iso).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' })
}
