import { randomUUID } from 'node:crypto'
import Fastify, { type FastifyInstance, LogController } from 'fastify'
import cleanUp from '../plugins/clean-up.ts'
import contract from '../plugins/contract/index.ts'
import database from '../plugins/database.ts'
import drain from '../plugins/drain.ts'
import errors from '../plugins/errors.ts'
import { refuseUnparsable, sendFrameworkProblem } from '../plugins/framework-errors.ts'
import framing from '../plugins/framing.ts'
import guard from '../plugins/guard.ts'
import jwt from '../plugins/jwt.ts'
import notFound from '../plugins/not-found.ts'
import passwords from '../plugins/passwords.ts'
import rateLimit from '../plugins/rate-limit.ts'
import requestLog from '../plugins/request-log.ts'
import securityHeaders from '../plugins/security-headers.ts'
import sessions from '../plugins/sessions.ts'
import signingKeys from '../plugins/signing-keys.ts'
import validation from '../plugins/validation.ts'
import authRoutes from '../routes/api/auth/index.ts'
import taskRoutes from '../routes/api/tasks/index.ts'
import docsRoutes from '../routes/docs/index.ts'
import healthRoutes from '../routes/health/index.ts'
import wellKnownRoutes from '../routes/well-known/index.ts'
import { type Clock, systemClock } from './clock.ts'
import type { Config } from './config.ts'
import type { Listen } from './db/listen.ts'
import type { Db } from './db/schema.ts'
import { describeError } from './log.ts'
import { refreshKeys } from './sessions/refresh-token.ts'

interface Surroundings {
  readonly db: Db
  /** How revocations made by other instances arrive; without it they are only polled for. */
  readonly listen?: Listen | undefined
  readonly clock?: Clock
  /** Where log lines go; standard output unless a test wants to read them. */
  readonly logStream?: { write(line: string): void }
}

/** Builds the service: options, then plugins, then routes. It owns `db` from here on and closes it with itself. */
export async function buildApp(
  config: Config,
  { db, listen, clock = systemClock, logStream }: Surroundings,
): Promise<FastifyInstance> {
  const app = Fastify({
    logger: {
      level: config.logLevel,
      serializers: { err: describeError },
      ...(logStream ? { stream: logStream } : {}),
    },
    // plugins/request-log.ts writes the one line a request gets.
    logController: new LogController({ disableRequestLogging: true }),
    requestIdHeader: false,
    genReqId: ({ headers }) => foreignRequestId(headers['x-request-id']) ?? randomUUID(),
    trustProxy: config.trustProxy === false ? false : [...config.trustProxy],
    // Node refuses a request without Host by an answer of its own; plugins/framing.ts does it with a problem.
    http: { requireHostHeader: false },
    // While it drains, a request that is already on its connection is served like any other; /health/ready says no.
    return503OnClosing: false,
    bodyLimit: 16 * 1024,
    routerOptions: { maxParamLength: 255 },
    frameworkErrors: sendFrameworkProblem,
    clientErrorHandler: refuseUnparsable,
  })

  await app.register(drain)
  await app.register(requestLog)
  await app.register(securityHeaders)
  await app.register(framing)
  await app.register(validation)
  await app.register(contract)
  await app.register(rateLimit, { enabled: config.rateLimits })
  await app.register(errors)
  await app.register(notFound)
  await app.register(database, { db })
  await app.register(cleanUp)
  await app.register(passwords, config.hashing)
  await app.register(sessions, {
    policy: {
      ...config.sessions,
      accessTokenSeconds: config.accessTokenSeconds,
      refreshKeys: refreshKeys(config.secretKey, config.previousSecretKey),
    },
    clock,
    listen,
    pollSeconds: config.revocationPollSeconds,
  })
  await app.register(signingKeys, {
    algorithm: config.algorithm,
    secret: config.secretKey,
    previousSecret: config.previousSecretKey,
    lifetime: config.accessTokenSeconds,
    rotationDays: config.keyRotationDays,
    clock,
  })
  await app.register(jwt, {
    keys: app.signingKeys ?? { current: config.secretKey, previous: config.previousSecretKey },
    policy: { issuer: config.publicUrl, audience: config.audience, lifetime: config.accessTokenSeconds },
    clock,
    assertLive: (user) => app.revocations.assertLive(user),
  })
  await app.register(guard)

  const basePath = new URL(config.publicUrl).pathname.replace(/\/$/, '')
  await app.register(authRoutes, { prefix: '/api/auth' })
  await app.register(taskRoutes, { prefix: '/api/:user_id/tasks', basePath })
  await app.register(wellKnownRoutes, { prefix: '/.well-known' })
  await app.register(healthRoutes, { prefix: '/health' })
  await app.register(docsRoutes, { basePath })
  return app
}

/** A gateway's request id is taken over only if it cannot forge a log line or a header. */
function foreignRequestId(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && /^[A-Za-z0-9-]{1,64}$/.test(header) ? header : undefined
}
