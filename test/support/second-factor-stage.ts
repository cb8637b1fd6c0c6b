import type { LightMyRequestResponse } from 'fastify'
import { type AppOptions, password, type TestUser, twoUsers } from '../helper.ts'
import { type Authenticator, enrol } from './authenticator.ts'
import { post } from './mailbox.ts'
import type { Test } from './postgres.ts'

/** Someone with a second factor, and the app with it. */
export interface Enrolled extends TestUser {
  readonly authenticator: Authenticator
  readonly recoveryCodes: readonly string[]
}

/** Two users, and the time by which codes and tokens are verified. */
export async function secondFactorStage(t: Test, options: AppOptions = {}) {
  const time = { now: Math.floor(Date.now() / 1000) }
  const clock = () => time.now
  const { app, alice, bob } = await twoUsers(t, { ...options, clock })
  const logIn = (user: Pick<TestUser, 'email'>, extra: object = {}) =>
    post(app, 'login', { email: user.email, password, ...extra })
  const secondFactor = (mfa_token: string, code: string) =>
    post(app, 'login/second-factor', { mfa_token, code })
  return {
    app,
    alice,
    bob,
    time,
    clock,
    logIn,
    secondFactor,
    /** Gives a user a second factor; the next code is good afterwards. */
    async enrolled(user: TestUser): Promise<Enrolled> {
      const made = await enrol(user, clock)
      time.now += 30
      return { ...user, ...made }
    },
    /** The mfa token of a login. */
    async challenged(user: Pick<TestUser, 'email'>, extra: object = {}): Promise<string> {
      const answer = await logIn(user, extra)
      return tokenIn(answer)
    },
    /** Logs in with the present code, which it uses up. */
    async logInFully(user: Enrolled): Promise<LightMyRequestResponse> {
      time.now += 30
      return secondFactor(tokenIn(await logIn(user)), user.authenticator.code())
    },
  }
}

function tokenIn(answer: LightMyRequestResponse): string {
  const { mfa_token } = answer.json()
  if (typeof mfa_token !== 'string') throw new Error(`no challenge: ${answer.statusCode} ${answer.body}`)
  return mfa_token
}
