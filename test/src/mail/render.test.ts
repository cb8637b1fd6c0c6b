import t from 'tap'
import { render } from '../../../src/mail/render.ts'
import { samples } from '../../../src/mail/samples.ts'
import { english, type Texts } from '../../../src/mail/texts.ts'
import { oneTimeKeys } from '../../../src/one-time-tokens/token.ts'
import { secret } from '../../helper.ts'

const policy = { resetSeconds: 1800, verificationSeconds: 86_400, keys: oneTimeKeys(secret, undefined) }
const style = {
  from: { name: 'Example & Sons', address: 'no-reply@example.com' },
  appUrl: 'https://app.example.com',
  texts: english,
}

const wordsOf = (html: string) =>
  html
    .replace(/<head>.*<\/head>/s, '')
    .replace(/<[^>]+>/g, '\n')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')

t.test('every mail has the same content as text and as HTML, without unfilled placeholders', async (t) => {
  const all = samples(style, policy)
  t.ok(all.length >= 10)
  for (const { name, subject, text, html } of all) {
    t.match(subject, 'Example & Sons', name)
    for (const form of [subject, text, html]) t.notMatch(form, /\{\w+\}|undefined|null/, name)
    const shown = wordsOf(html)
    for (const paragraph of text.replace(/^-- $/m, '').split('\n\n')) {
      for (const line of paragraph.split('\n'))
        t.ok(shown.includes(line.trim().replace(/:$/, '')), `${name}: ${line}`)
    }
    t.notMatch(html, /<(script|img|link|iframe|form)|src=|url\(|@import/i, `${name}: nothing is fetched`)
    t.notMatch(subject, /[\r\n]/)
    const links = [...html.matchAll(/href="([^"]+)"/g)].map(([, link]) => link)
    for (const link of links) t.match(link, /^https:\/\/app\.example\.com\//, name)
    t.equal(links.length, english.mails[name].button ? 1 : 0, name)
  }
})

t.test('user input is escaped: no markup, line break or placeholder', async (t) => {
  const values = {
    service: 'S',
    address: 'a@example.com',
    lifetime: '',
    time: '',
    ip: '"><script>alert(1)</script>',
    name: 'Eve\r\n\r\nBcc: x\u2028\u202e<b title="x">&amp; {address} {ip}',
  }
  const { text, html } = render(english, { words: english.mails.password_changed, values, link: undefined })
  t.equal(text.split('\n')[0], 'Hello Eve Bcc: x <b title="x">&amp; {address} {ip},')
  t.match(html, 'Hello Eve Bcc: x &lt;b title=&quot;x&quot;&gt;&amp;amp; {address} {ip},')
  t.match(html, 'From: &quot;&gt;&lt;script&gt;')
  t.notMatch(html, /<script|<b /)
})

t.test('another language is another Texts object', async (t) => {
  const words = { ...english.mails.reset_password, subject: 'Neues Passwort', after: ['Gilt {lifetime}.'] }
  const german: Texts = {
    ...english,
    language: 'de',
    mails: { ...english.mails, reset_password: words, verify_email: words },
  }
  const all = samples({ ...style, texts: german }, { ...policy, verificationSeconds: 3600 })
  const texts = Object.fromEntries(all.map((mail) => [mail.name, mail]))
  t.match(texts['reset_password'], {
    subject: 'Neues Passwort',
    html: /<html lang="de">/,
    text: /Gilt 30 Minuten\./,
  })
  t.match(texts['verify_email'], { text: /Gilt 1 Stunde\./ })
})
