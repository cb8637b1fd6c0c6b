import { Problem } from '../problem.ts'
import type { Count, Counter } from './counters.ts'

/** The problem of a counter that is used up, with the same headers as the limits by address. */
export function rateLimited({ limit }: Counter, { max, resetMs }: Count): Problem {
  const seconds = String(Math.ceil(resetMs / 1000))
  return new Problem('rate_limited', {
    reason: limit,
    headers: {
      'retry-after': seconds,
      'ratelimit-limit': String(max),
      'ratelimit-remaining': '0',
      'ratelimit-reset': seconds,
    },
  })
}
