/** Statistics of samples. */

/** The value below which a share of the numbers lies. @param sorted in ascending order */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export function ascending(numbers: readonly number[]): number[] {
  return [...numbers].sort((a, b) => a - b)
}

/** Seeded random numbers in [0, 1): mulberry32. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const result = [...items]
  for (let at = result.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1))
    const held = result[at] as T
    result[at] = result[other] as T
    result[other] = held
  }
  return result
}

/**
 * The chance that a number of `b` is larger than one of `a`: 0.5 when they cannot be told apart (Mann and Whitney's U
 * over the product of the counts).
 */
export function areaUnderCurve(a: readonly number[], b: readonly number[]): number {
  const all = [...a.map((value) => ({ value, ofB: false })), ...b.map((value) => ({ value, ofB: true }))]
  all.sort((one, other) => one.value - other.value)
  let rankSum = 0
  for (let at = 0; at < all.length; ) {
    let end = at
    while (end < all.length && all[end]?.value === all[at]?.value) end++
    // Equal values share the mean of their ranks.
    const rank = (at + 1 + end) / 2
    for (let within = at; within < end; within++) if (all[within]?.ofB) rankSum += rank
    at = end
  }
  return (rankSum - (b.length * (b.length + 1)) / 2) / (a.length * b.length)
}

/** The 95 % interval of {@link areaUnderCurve} by resampling. */
export function bootstrapInterval(
  a: readonly number[],
  b: readonly number[],
  random: () => number,
  rounds = 200,
): [number, number] {
  const draw = (from: readonly number[]) => from.map(() => from[Math.floor(random() * from.length)] as number)
  const areas = ascending(Array.from({ length: rounds }, () => areaUnderCurve(draw(a), draw(b))))
  return [quantile(areas, 0.025), quantile(areas, 0.975)]
}
