export interface Backoff {
  /** Before the first retry. */
  readonly firstSeconds: number
  /** By which each attempt multiplies it. */
  readonly factor: number
  readonly maxSeconds: number
}

/** Seconds until the next attempt: exponential backoff with a quarter of jitter. */
export function retryDelay({ firstSeconds, factor, maxSeconds }: Backoff, attempts: number): number {
  return Math.min(firstSeconds * factor ** (attempts - 1), maxSeconds) * (0.75 + Math.random() / 2)
}
