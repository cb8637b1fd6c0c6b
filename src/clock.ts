/** Seconds since the epoch. Tests replace it. */
export type Clock = () => number

export const systemClock: Clock = () => Math.floor(Date.now() / 1000)
