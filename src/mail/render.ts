import type { MailText, Texts, Values } from './texts.ts'

/** Content of a mail. */
export interface Rendered {
  readonly subject: string
  readonly text: string
  readonly html: string
}

interface Content {
  readonly words: MailText
  readonly values: Values
  /** The button. */
  readonly link: string | undefined
}

/** Renders a mail as text and as HTML with the same content. */
export function render(texts: Texts, { words, values, link }: Content): Rendered {
  const say = (template: string) => fill(template, values)
  const greeting = values.name === '' ? [] : [say(texts.greeting)]
  const parts: Parts = {
    language: texts.language,
    heading: say(words.heading),
    before: [...greeting, ...words.before.map(say)],
    action: words.button && link ? { label: say(words.button), hint: say(texts.linkHint), link } : undefined,
    after: words.after.map(say),
    footer: say(texts.footer),
  }
  return { subject: say(words.subject), text: asText(parts), html: asHtml(parts) }
}

/** Untrusted text as one line, without line breaks and bidirectional controls. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu, ' ').trim()
}

function fill(template: string, values: Values): string {
  return template.replace(/\{(\w+)\}/g, (_, name: keyof Values) => oneLine(values[name]))
}

interface Parts {
  readonly language: string
  readonly heading: string
  readonly before: readonly string[]
  readonly action: { readonly label: string; readonly hint: string; readonly link: string } | undefined
  readonly after: readonly string[]
  readonly footer: string
}

function asText({ before, action, after, footer }: Parts): string {
  const link = action ? [`${action.label}:\n${action.link}`] : []
  return `${[...before, ...link, ...after, `-- \n${footer}`].join('\n\n')}\n`
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => escapes[character] ?? '')
}

const font = 'font-family:-apple-system,BlinkMacSystemFont,Segoe UI,Roboto,Helvetica,Arial,sans-serif'

function paragraph(text: string): string {
  return `<p style="margin:0 0 16px">${escapeHtml(text)}</p>`
}

/** A table and inline styles, which all mail clients support; loads nothing. */
function asHtml({ language, heading, before, action, after, footer }: Parts): string {
  const button = action
    ? `<p style="margin:24px 0"><a href="${escapeHtml(action.link)}" style="display:inline-block;padding:12px 20px;border-radius:6px;background:#1f4fd8;color:#ffffff;font-weight:600;text-decoration:none">${escapeHtml(action.label)}</a></p>
<p style="margin:0 0 16px;font-size:13px;color:#5b6472">${escapeHtml(action.hint)}<br><span style="word-break:break-all">${escapeHtml(action.link)}</span></p>`
    : ''
  return `<!doctype html>
<html lang="${escapeHtml(language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(heading)}</title>
</head>
<body style="margin:0;padding:0;background:#f2f4f7">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="background:#f2f4f7"><tr><td align="center" style="padding:24px 12px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="max-width:560px;background:#ffffff;border-radius:8px"><tr><td style="padding:32px;${font};font-size:16px;line-height:1.5;color:#1b2330">
<h1 style="margin:0 0 20px;font-size:22px;line-height:1.3">${escapeHtml(heading)}</h1>
${before.map(paragraph).join('\n')}
${button}
${after.map(paragraph).join('\n')}
</td></tr></table>
<p style="max-width:560px;margin:16px auto 0;${font};font-size:12px;line-height:1.5;color:#5b6472">${escapeHtml(footer)}</p>
</td></tr></table>
</body>
</html>
`
}
