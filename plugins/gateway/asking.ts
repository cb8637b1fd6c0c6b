import type { IncomingMessage } from 'node:http'
import type { FastifyRequest } from 'fastify'
import { isQuestion, verifyPath } from '../../src/gateway/question.ts'

const question = Symbol('target of a question')

declare module 'node:http' {
  interface IncomingMessage {
    [question]?: string
  }
}

/** Whether the request is a gateway's, for the request in front of it: then whatever that carries is its client's. */
export function isAsking({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.config.access === 'gateway'
}

/**
 * For `rewriteUrl`: the router gets only the path of a question, since it would refuse what a client may have put
 * behind it (an invalid encoding, a long segment).
 * @param target without the prefix of PUBLIC_URL and, for an absolute form, without scheme and host
 * @param received differs for an absolute form that plugins/http/framing.ts refuses: as a question, not with a 400
 */
export function withoutQuestion(request: IncomingMessage, target: string, received: string): string {
  if (!isQuestion(target)) return received
  request[question] = received
  return verifyPath
}

/**
 * The request target with its parameters, without the prefix of PUBLIC_URL; empty for another spelling of the path,
 * which the router decodes, and whose parameters would be lost.
 */
export function targetOf({ raw }: FastifyRequest): string {
  return raw[question] ?? ''
}

/** Whether a body was announced. It is never read, so the connection ends with the answer. */
export function announcesBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length']
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0')
}
