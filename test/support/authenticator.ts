import type { LightMyRequestResponse } from 'fastify'
import { stepAt, totpCode } from '../../src/second-factor/totp.ts'
import { password, type TestUser } from '../helper.ts'

const systemTime = () => Math.floor(Date.now() / 1000)

/** RFC 4648 section 6, read back. */
function fromBase32(text: string): Buffer {
  const bits = [...text]
    .map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'))
    .join('')
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)))
}

/** An authenticator app with one secret. */
export class Authenticator {
  readonly #secret: Buffer
  readonly #clock: () => number

  constructor(secret: string, clock: () => number = systemTime) {
    this.#secret = fromBase32(secret)
    this.#clock = clock
  }

  /** The code of the present step, or of one after or before it. */
  code(steps = 0): string {
    return totpCode(this.#secret, stepAt(this.#clock()) + steps)
  }

  /** Six digits that none of the steps around the present one has. */
  wrongCode(): string {
    const near = [-2, -1, 0, 1, 2].map((steps) => this.code(steps))
    const wrong = ['000000', '111111', '222222', '333333', '444444', '555555']
    return wrong.find((code) => !near.includes(code)) as string
  }
}

type Caller = Pick<TestUser, 'call'>

/** Begins a setup, and returns the app that has its secret. */
export async function setUp(user: Caller, clock = systemTime, given = password): Promise<Authenticator> {
  const answer = await user.call('POST', '/api/auth/mfa/totp', { password: given })
  if (answer.statusCode !== 200) throw new Error(`setup answered ${answer.statusCode}: ${answer.body}`)
  return new Authenticator(answer.json().secret, clock)
}

/** Gives a user a second factor; the code of the present step is used up by it. */
export async function enrol(user: Caller, clock = systemTime) {
  const authenticator = await setUp(user, clock)
  const answer = await user.call('POST', '/api/auth/mfa/totp/confirm', { code: authenticator.code() })
  if (answer.statusCode !== 200) throw new Error(`confirm answered ${answer.statusCode}: ${answer.body}`)
  return { authenticator, recoveryCodes: answer.json().recovery_codes as string[] }
}

/** The claims of an access token, unverified. */
export function claimsOf(token: string): { sid: string; acr: string; amr: string[]; auth_time: number } {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}

/** A session answer as a user who can call the service with it. */
export function withToken(user: TestUser, answer: LightMyRequestResponse): TestUser {
  const { token, refresh_token: refreshToken } = answer.json()
  return {
    ...user,
    token,
    refreshToken,
    call: (method, url, body, { headers, ...request } = {}) =>
      user.call(method, url, body, { ...request, headers: { ...headers, authorization: `Bearer ${token}` } }),
  }
}
