interface DescribedError {
  [field: string]: unknown
  type: string
  message: string
  stack: string
}

/**
 * What the log is told of an error. A database's error also carries the row that it refused, password hash and
 * all; so this takes what is named here and nothing else.
 */
export function describeError(error: unknown): DescribedError {
  if (!(error instanceof Error)) return { type: typeof error, message: 'not an Error', stack: '' }
  const { code } = error as NodeJS.ErrnoException
  return {
    type: error.name,
    message: error.message,
    ...(code === undefined ? {} : { code }),
    stack: error.stack ?? '',
  }
}
