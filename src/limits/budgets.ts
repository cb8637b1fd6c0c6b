/** `max` per `timeWindow`, in milliseconds. */
export interface Budget {
  readonly max: number
  readonly timeWindow: number
}

const minute = 60_000
const hour = 60 * minute

/** The default budgets; docs/configuration.md gives the reason for each. */
export const budgets = {
  // Per client address, by `config.budget` of the route.
  /** Each costs a password hash and inserts a row. */
  signup: { max: 20, timeWindow: minute },
  /** Each costs a password hash and may be a guess: login, and password checks within a session. */
  login: { max: 30, timeWindow: minute },
  /** Each costs statements; each client behind a shared address needs one per 15 minutes. */
  refresh: { max: 300, timeWindow: minute },
  /** Each sends a mail to an address of the sender's choice. */
  forgot: { max: 20, timeWindow: 15 * minute },
  /** Each presents a token from a mail; some cost a password hash. */
  verify: { max: 30, timeWindow: minute },
  /** Failed authentications of service clients; one that succeeds is not counted. */
  service: { max: 30, timeWindow: minute },
  /** Every other route but the health checks, preflights, and paths that do not exist. */
  everything: { max: 1_200, timeWindow: minute },

  // Per account.
  /** Wrong passwords for one account, whether it exists or not. */
  account: { max: 10, timeWindow: 15 * minute },
  /** Wrong passwords for one account from one device. */
  pair: { max: 10, timeWindow: 15 * minute },
  /** New API keys: the revocation of each that ends is kept until it would have expired. */
  keys: { max: 100, timeWindow: 24 * hour },
  /** Exports: each reads every row of the account. */
  exports: { max: 10, timeWindow: hour },
} as const satisfies Record<string, Budget>

export type LimitName = keyof typeof budgets

export type Budgets = Readonly<Record<LimitName, Budget>>

/** The values of `config.budget`; routes with the same one share its counters. */
export const routeBudgets = [
  'signup',
  'login',
  'refresh',
  'forgot',
  'verify',
] as const satisfies readonly LimitName[]

export type BudgetName = (typeof routeBudgets)[number]

const units = { s: 1_000, m: minute, h: hour, d: 24 * hour } as const

/** A number and a window of 1 second to 99 days, as `30/1m`. */
export const budgetPattern = '^[1-9][0-9]{0,6}/[1-9][0-9]?[smhd]$'

/** @param text matches {@link budgetPattern} */
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
