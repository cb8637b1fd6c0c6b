/** What may happen in a window of milliseconds. */
export interface Budget {
  readonly max: number
  readonly timeWindow: number
}

const minute = 60_000
const hour = 60 * minute

/** The one place where the budgets stand, as they are by default; docs/configuration.md gives the reason for each. */
export const budgets = {
  // Requests of one client address. A route names one of these in `config.budget`.
  /** Each costs a password hash and makes a row. */
  signup: { max: 20, timeWindow: minute },
  /** Each costs a password hash and is a guess: login, and what asks for the password of an open session. */
  login: { max: 30, timeWindow: minute },
  /** Each costs statements; a client behind a shared address needs one in a quarter of an hour. */
  refresh: { max: 300, timeWindow: minute },
  /** Each sends a mail to whoever is named. */
  forgot: { max: 20, timeWindow: 15 * minute },
  /** Each presents a token from a mail; some cost a password hash. */
  verify: { max: 30, timeWindow: minute },
  /** Every other route but the health checks, preflights, and paths that do not exist. */
  everything: { max: 1_200, timeWindow: minute },

  // What concerns one account, wherever it comes from.
  /** Wrong passwords for one account, whether it exists or not. */
  account: { max: 10, timeWindow: 15 * minute },
  /** Wrong passwords for one account from one device. */
  pair: { max: 10, timeWindow: 15 * minute },
} as const satisfies Record<string, Budget>

export type LimitName = keyof typeof budgets

export type Budgets = Readonly<Record<LimitName, Budget>>

/** What a route can name in `config.budget`; routes that name the same one share it. */
export const routeBudgets = [
  'signup',
  'login',
  'refresh',
  'forgot',
  'verify',
] as const satisfies readonly LimitName[]

export type BudgetName = (typeof routeBudgets)[number]

const units = { s: 1_000, m: minute, h: hour, d: 24 * hour } as const

/** How a budget is written: a number and a window, as `30/1m`. Windows of 1 second to 99 days. */
export const budgetPattern = '^[1-9][0-9]{0,6}/[1-9][0-9]?[smhd]$'

/** Reads what {@link budgetPattern} lets through. */
export function parseBudget(text: string): Budget {
  const [max = '', window = ''] = text.split('/')
  return {
    max: Number(max),
    timeWindow: Number(window.slice(0, -1)) * units[window.slice(-1) as keyof typeof units],
  }
}

export function formatBudget({ max, timeWindow }: Budget): string {
  const [unit, size] =
    Object.entries(units)
      .reverse()
      .find(([, size]) => timeWindow % size === 0) ?? []
  return `${max}/${timeWindow / (size ?? 1)}${unit}`
}
