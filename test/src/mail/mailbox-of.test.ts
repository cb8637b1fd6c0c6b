import t from 'tap'
import { isPlain, mailboxOf } from '../../../src/mail/mailbox-of.ts'
import type { CanonicalEmail } from '../../../src/users/email.ts'

const mailbox = (address: string) => mailboxOf(address as CanonicalEmail)

t.test('addresses of one mailbox count as one (E04)', async (t) => {
  const same: Record<string, string[]> = {
    'bob@example.com': ['bob@example.com', 'bob+1@example.com', 'bob+a+b@example.com'],
    'bob@gmail.com': ['bob@gmail.com', 'b.o.b@gmail.com', 'b.ob+x@googlemail.com', 'bob@googlemail.com'],
    'bob@proton.me': ['b.o-b@pm.me', 'bob+x@protonmail.com', 'b_ob@proton.me'],
    'bob@yahoo.com': ['bob-shop@yahoo.com', 'bob@yahoo.com'],
    'bob@fastmail.com': ['shop@bob.fastmail.com', 'bob+x@fastmail.com'],
  }
  for (const [expected, addresses] of Object.entries(same)) {
    for (const address of addresses) t.equal(mailbox(address), expected, address)
  }
})

t.test('addresses that only look alike are different mailboxes (E04)', async (t) => {
  const apart = [
    'bob@example.com',
    'b.ob@example.com',
    'bob-1@example.com',
    'b_ob@example.com',
    'bob@mail.example.com',
    'bob@yahoo.de',
    'bob@yahoo.com',
    'b.ob@yahoo.com',
    'bob@gmail.com.example.com',
    'x@bob.gmail.com',
    '+bob@example.com',
    '+eve@example.com',
  ]
  t.equal(new Set(apart.map(mailbox)).size, apart.length)
})

t.test('only the plain address of a mailbox is plain', async (t) => {
  for (const address of ['bob@example.com', 'b.ob@example.com', 'bob@gmail.com'])
    t.ok(isPlain(address), address)
  for (const address of ['bob+1@example.com', 'b.ob@gmail.com', 'bob@googlemail.com', 'x@bob.fastmail.com']) {
    t.notOk(isPlain(address), address)
  }
})
