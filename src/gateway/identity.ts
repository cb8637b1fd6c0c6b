import { sharedSecretIssuer } from '../tokens/foreign-token.ts'
import type { Principal } from '../tokens/owner.ts'

/** What an answer says of the user behind a request, by the names of its headers. */
export type Identity = Readonly<Record<(typeof identityHeaders)[number], string>>

export const identityHeaders = [
  'x-latchkey-user',
  'x-latchkey-key',
  'x-latchkey-issuer',
  'x-latchkey-session',
  'x-latchkey-client',
  'x-latchkey-scope',
  'x-latchkey-expires',
  'x-latchkey-auth-time',
  'x-latchkey-acr',
] as const

/** One word, or several with single spaces between them. */
const printable = /^[\x21-\x7e]+( [\x21-\x7e]+)*$/

/** Characters; a gateway has 4 KiB for all headers of an answer. */
const maxLength = 1_000

/** Where there is nothing to say: a header that was left out would let the client's own of that name pass. */
const nothing = '-'

export const nobody: Identity = {
  'x-latchkey-user': nothing,
  'x-latchkey-key': nothing,
  'x-latchkey-issuer': nothing,
  'x-latchkey-session': nothing,
  'x-latchkey-client': nothing,
  'x-latchkey-scope': nothing,
  'x-latchkey-expires': nothing,
  'x-latchkey-auth-time': nothing,
  'x-latchkey-acr': nothing,
}

/** @param ownIssuer the `iss` of this service's own tokens */
export function identityOf(user: Principal, ownIssuer: string): Identity {
  return {
    'x-latchkey-user': fieldValue(user.sub),
    'x-latchkey-key': encodeURIComponent(user.userId),
    'x-latchkey-issuer': user.issuer === sharedSecretIssuer ? nothing : fieldValue(user.issuer ?? ownIssuer),
    'x-latchkey-session': fieldValue(user.sid),
    'x-latchkey-client': fieldValue(user.clientId),
    'x-latchkey-scope': fieldValue(user.scopes?.join(' ')),
    'x-latchkey-expires': seconds(user.expiresAt),
    'x-latchkey-auth-time': seconds(user.authTime),
    'x-latchkey-acr': fieldValue(user.acr),
  }
}

function seconds(time: number | undefined): string {
  return time === undefined ? nothing : String(Math.floor(time))
}

/** As a header can carry it: a trusted issuer chooses some of these texts. */
function fieldValue(text: string | undefined): string {
  if (text === undefined || text === '' || text.length > maxLength) return nothing
  // Buffer replaces lone surrogates, which encodeURIComponent refuses.
  return printable.test(text) ? text : encodeURIComponent(Buffer.from(text).toString())
}
