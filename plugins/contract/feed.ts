import { Type } from '@sinclair/typebox'
import type { FastifyReply } from 'fastify'
import { CursorInvalid } from '../../src/feeds/position.ts'
import { Problem } from '../../src/problem.ts'

/** Seconds for which a reader may be held. */
const maxWaitSeconds = 30

/** The cursor of a reader. */
export const FeedCursor = (description: string, example: string) =>
  Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 7_500,
      pattern: '^[A-Za-z0-9_-]+$',
      description,
      examples: [example],
    }),
  )

/** Seconds of a long poll. */
export const FeedWait = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 0, maximum: maxWaitSeconds, default: 0, description }))

/** Of an answer with a page of a feed. */
export const feedHeaders = {
  Link: { type: 'string', description: 'The next page, `rel="next"` (RFC 8288), if there is one now' },
  'Cache-Control': { type: 'string', description: '`no-store`' },
}

/** Aborts when the reader has disconnected. */
export function readerGone({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController()
  raw.once('close', () => gone.abort())
  return gone.signal
}

/** @throws Problem invalid_request for a cursor that is invalid or of another database, otherwise the error itself */
export function refuseCursor(error: unknown): never {
  throw error instanceof CursorInvalid
    ? new Problem('invalid_request', { reason: 'cursor', cause: error })
    : error
}
