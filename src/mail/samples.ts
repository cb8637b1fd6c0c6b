import { type MailStyle, renderMail } from './compose.ts'
import type { MailName } from './kinds.ts'
import type { TokenPolicy } from './mail.ts'
import { isLinkMail } from './purposes.ts'
import type { Rendered } from './render.ts'

export interface Sample extends Rendered {
  readonly name: MailName
}

/** A sample of each mail, for editing texts and layout. */
export function samples(style: MailStyle, policy: TokenPolicy): Sample[] {
  return (Object.keys(style.texts.mails) as MailName[]).map((name) => ({
    name,
    ...renderMail(style, policy, name, {
      name: 'Test User',
      address: 'test@example.com',
      time: '2026-01-31T12:00:00.000Z',
      ip: '192.0.2.7',
      link: isLinkMail(name)
        ? `${style.appUrl}/a-page#token=Jb3vTt1oC1jY3YtZm9yLWRvY3VtZW50YXRpb24tb25seSE`
        : undefined,
    }),
  }))
}
