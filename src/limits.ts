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
  /** Each costs a password hash and is a guess: login, and what asks for the password of an open session. */
  password: { max: 30, timeWindow: minute },
  /** Each costs statements; a client behind a shared address needs one in a quarter of an hour. */
  refresh: { max: 300, timeWindow: minute },
  /** Every other route, and paths that do not exist. */
  everything: { max: 1_200, timeWindow: minute },
} as const satisfies Record<string, Budget>

/** Named by a route in `config.budget`; routes that name the same one share it. */
export type BudgetName = Exclude<keyof typeof budgets, 'everything'>
