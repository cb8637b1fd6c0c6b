/** Seconds since the epoch. Every decision about a token asks this one, so a test can set the time. */
export type Clock = () => number

export const systemClock: Clock = () => Math.floor(Date.now() / 1000)
