/** Requests that one client address may make in a window of milliseconds. */
interface Budget {
  readonly max: number
  readonly timeWindow: number
}

const minute = 60_000

/** The one place where the budgets stand; docs/configuration.md gives the reason for each. */
export const budgets = {
  /** Each costs a password hash and makes a row. */
  signup: { max: 20, timeWindow: minute },
  /** Each costs a password hash and is a guess. */
  login: { max: 30, timeWindow: minute },
  /** Asks for the password of an account that is logged in. */
  reauthenticate: { max: 10, timeWindow: minute },
  /** Every other route, and paths that do not exist. */
  everything: { max: 1_200, timeWindow: minute },
} as const satisfies Record<string, Budget>
