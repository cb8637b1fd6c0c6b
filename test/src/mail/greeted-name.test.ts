import t from 'tap'
import { greetedName } from '../../../src/mail/greeted-name.ts'

const recipient = 'alice@example.com'
const greeted = (name: string, named_by: string | null = recipient) =>
  greetedName({ name, named_by }, recipient)

t.test('a mail greets by the name that the owner of its recipient chose', async (t) => {
  t.equal(greeted('Alice'), 'Alice')
  t.equal(greeted('Alice', null), '')
  t.equal(greeted('Alice', 'alice@example.org'), '')
  t.equal(greetedName(undefined, recipient), '')
})

t.test('names of people are greeted', async (t) => {
  const names = [
    'Zoë',
    'Nguyễn Văn A',
    "Sinéad O'Connor",
    'Jean-Luc',
    'Martin L. King',
    'Sammy Davis Jr.',
    '山田太郎',
    'محمد',
  ]
  for (const name of names) t.equal(greeted(name), name)
})

t.test('a name that reads as a link, an address, a number or a message is left out (E14)', async (t) => {
  const names = [
    'https://evil.example',
    'evil://x',
    'www.evil.example',
    'WWW Evil',
    'evil.example',
    'see evil.com now',
    'evil。com',
    'evil\u200b.com',
    'a@evil.example',
    'call +1 555 0100',
    'Pay 100',
    'locked: log in',
    'Alice\nBcc',
    '<b>Alice</b>',
    'Alice\u202egnp',
    'x'.repeat(41),
    'Your account is locked and will be deleted soon',
    ' ',
  ]
  for (const name of names) t.equal(greeted(name), '', JSON.stringify(name))
})
