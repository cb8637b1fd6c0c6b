/** A sample of the Prometheus text format, version 0.0.4. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const label = '[a-zA-Z_]\\w*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"'
const sample = new RegExp(`^([a-zA-Z_:][\\w:]*)(?:\\{(${label}(?:,${label})*)\\})? (\\S+)$`)
const comment = /^# (?:HELP|TYPE) [a-zA-Z_:][\w:]* .+$/

/** @throws Error with the first line that is none of the format, and for a series that comes twice */
export function samplesOf(text: string): Sample[] {
  const seen = new Set<string>()
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  return text
    .split('\n')
    .filter((line) => line !== '' && !comment.test(line))
    .map((line) => {
      const [, name, labels = '', number = ''] = sample.exec(line) ?? []
      const value = Number(number.replace(/^([+-]?)Inf$/, '$1Infinity'))
      if (name === undefined || (Number.isNaN(value) && number !== 'NaN'))
        throw new Error(`no sample: ${line}`)
      const series = `${name}{${labels}}`
      if (seen.has(series)) throw new Error(`a series twice: ${series}`)
      seen.add(series)
      const pairs = [...labels.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)]
      return { name, labels: Object.fromEntries(pairs.map(([, key, text]) => [key, text])), value }
    })
}

/** The value of the only sample with that name and, among others, these labels; undefined without one. */
export function numberOf(
  samples: readonly Sample[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const found = samples.filter(
    (one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value),
  )
  if (found.length > 1) throw new Error(`${name} has ${found.length} such series`)
  return found[0]?.value
}
