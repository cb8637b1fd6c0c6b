import { createHash } from 'node:crypto'
import type { DeliveredMail } from '../../src/mail/local-mailbox.ts'
import { escapeHtml } from '../../src/mail/render.ts'
import type { Sample } from '../../src/mail/samples.ts'

const style = `
body { margin: 0 auto; max-width: 1080px; padding: 24px; font: 15px/1.5 system-ui, sans-serif; color: #1b2330; background: #f2f4f7 }
h1 { font-size: 24px; margin: 0 }
nav, .hint { color: #5b6472 }
article { background: #fff; border: 1px solid #dde2ea; border-radius: 8px; padding: 16px 20px; margin: 20px 0 }
h2 { font-size: 18px; margin: 0 0 4px }
p { margin: 8px 0 }
pre { margin: 8px 0; padding: 12px; background: #f2f4f7; border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.45 ui-monospace, monospace }
.forms { display: flex; gap: 16px; flex-wrap: wrap }
.forms > * { flex: 1 1 420px; box-sizing: border-box; min-height: 560px; margin: 0 }
iframe { border: 1px solid #dde2ea; border-radius: 6px; background: #fff }
a { color: #1f4fd8; overflow-wrap: anywhere }
`

/** Allows the page's own style and frames of this service: no script, no form, no other host. */
export const pagePolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "frame-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** For the framed mail: style attributes only; no script, no requests. */
export const mailPolicy =
  "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox allow-popups"

interface Place {
  /** Path of the page, with the gateway's prefix. */
  readonly path: string
  /** URL of the service. */
  readonly publicUrl: string
}

export function mailboxPage({ path, publicUrl }: Place, mails: readonly DeliveredMail[]): string {
  const articles = mails.map((mail) =>
    article(mail, `${path}/${mail.number}/html`, [
      `<p class="hint">to ${escapeHtml(mail.to)} at ${escapeHtml(mail.at)}, <code>${mail.name}</code></p>`,
      ...(mail.link && mail.secret ? actionOf(mail.link, curlOf(mail, mail.secret, publicUrl)) : []),
    ]),
  )
  const empty = '<p>No mail yet. Sign up, and look again.</p>'
  return page('Mailbox', [
    `<nav><a href="${path}">Look again</a> · <a href="${path}/samples">One of each</a> · <a href="${path.replace(/mailbox$/, 'account')}">Account</a></nav>`,
    '<p class="hint">Development only: mail is kept here instead of being sent, the latest 50, until the process ends.</p>',
    ...(articles.length > 0 ? articles : [empty]),
  ])
}

export function samplesPage({ path }: Place, all: readonly Sample[]): string {
  return page('One of each mail', [
    `<nav><a href="${path}">Back to the mailbox</a></nav>`,
    ...all.map((sample) =>
      article(sample, `${path}/samples/${sample.name}/html`, [
        `<p class="hint"><code>${sample.name}</code></p>`,
      ]),
    ),
  ])
}

function actionOf(link: string, curl: string): string[] {
  return [
    `<p>The link: <a href="${escapeHtml(link)}" target="_blank" rel="noreferrer">${escapeHtml(link)}</a></p>`,
    `<p class="hint">It leads to a page of the frontend. Without one, do what the page would:</p>`,
    `<pre>${escapeHtml(curl)}</pre>`,
  ]
}

function curlOf({ link }: DeliveredMail, token: string, publicUrl: string): string {
  const reset = link?.includes('/reset-password#')
  const path = reset ? 'password/reset' : 'email/verify'
  const body = JSON.stringify({ token, ...(reset ? { new_password: 'a new password' } : {}) })
  return `curl -s -w '%{http_code}\\n' ${publicUrl}/api/auth/${path} -H 'content-type: application/json' -d '${body}'`
}

function article(
  { subject, text }: { subject: string; text: string },
  frame: string,
  middle: string[],
): string {
  return `<article>
<h2>${escapeHtml(subject)}</h2>
${middle.join('\n')}
<div class="forms">
<iframe sandbox="allow-popups" src="${escapeHtml(frame)}" title="The mail as HTML"></iframe>
<pre>${escapeHtml(text)}</pre>
</div>
</article>`
}

function page(title: string, parts: string[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title} · Latchkey</title>
<style>${style}</style>
</head>
<body>
<h1>${title}</h1>
${parts.join('\n')}
</body>
</html>
`
}
