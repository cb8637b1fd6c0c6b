interface DescribedError {
  [field: string]: unknown
  type: string
  message: string
  stack: string
}

/**
 * Serializes an error for the log by an allowlist: a database error also contains the refused row, password hash
 * included.
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
