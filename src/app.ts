import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import Fastify, { type FastifyInstance, LogController } from 'fastify'
import accessTokens from '../plugins/access-tokens.ts'
import apiKeys from '../plugins/api-keys.ts'
import auth from '../plugins/auth.ts'
import blocklist from '../plugins/blocklist.ts'
import cleanUp from '../plugins/clean-up.ts'
import contract from '../plugins/contract/index.ts'
import database from '../plugins/database.ts'
import eventSeals from '../plugins/event-seals.ts'
import events from '../plugins/events.ts'
import { withoutQuestion } from '../plugins/gateway/asking.ts'
import gateway from '../plugins/gateway/verify.ts'
import addresses from '../plugins/http/addresses.ts'
import allowedHosts from '../plugins/http/allowed-hosts.ts'
import connections from '../plugins/http/connections.ts'
import cors from '../plugins/http/cors.ts'
import { refuseUnparsable, sendFrameworkProblem } from '../plugins/http/framework.ts'
import framing from '../plugins/http/framing.ts'
import keepAlive from '../plugins/http/keep-alive.ts'
import lingeringClose from '../plugins/http/lingering-close.ts'
import securityHeaders from '../plugins/http/security-headers.ts'
import validation from '../plugins/http/validation.ts'
import idempotency from '../plugins/idempotency.ts'
import accountLimits from '../plugins/limits/account.ts'
import rateLimit from '../plugins/limits/address.ts'
import serviceFailures from '../plugins/limits/failures.ts'
import forwarding from '../plugins/limits/forwarding.ts'
import requestLog from '../plugins/log/request-log.ts'
import securityEvents from '../plugins/log/security-events.ts'
import mail from '../plugins/mail.ts'
import metrics from '../plugins/metrics.ts'
import ownedWrites from '../plugins/owned-writes.ts'
import passwords from '../plugins/passwords.ts'
import pressure from '../plugins/pressure.ts'
import errors from '../plugins/problems/errors.ts'
import notFound from '../plugins/problems/not-found.ts'
import secondFactor from '../plugins/second-factor.ts'
import serviceClients from '../plugins/service-clients.ts'
import sessions from '../plugins/sessions.ts'
import signingKeys from '../plugins/signing-keys.ts'
import webhooks from '../plugins/webhooks.ts'
import adminRoutes from '../routes/api/admin/index.ts'
import authRoutes from '../routes/api/auth/index.ts'
import eventRoutes from '../routes/api/events/index.ts'
import ownedRoutes from '../routes/api/owned/index.ts'
import accountRoutes from '../routes/dev/account/index.ts'
import devRoutes from '../routes/dev/index.ts'
import docsRoutes from '../routes/docs/index.ts'
import gatewayRoutes from '../routes/gateway/index.ts'
import revocationRoutes from '../routes/gateway/revocations/index.ts'
import healthRoutes from '../routes/health/index.ts'
import oauthRoutes from '../routes/oauth/index.ts'
import wellKnownRoutes from '../routes/well-known/index.ts'
import { type Clock, systemClock } from './clock.ts'
import type { Config } from './config/config.ts'
import { sessionPolicyOf } from './config/session-policy.ts'
import type { CountConnections } from './db/connection-counts.ts'
import type { Listen } from './db/listen.ts'
import type { Db } from './db/schema.ts'
import { isQuestion, verifyPath } from './gateway/question.ts'
import { basePathOf, pathOfTarget, withoutBasePath, withoutInsertedPath } from './http/base-path.ts'
import { macKeys } from './idempotency/keyed-request.ts'
import { describeError } from './log.ts'
import { serviceName } from './mail/compose.ts'
import { english } from './mail/texts.ts'
import { oneTimeKeys } from './one-time-tokens/token.ts'
import { resources } from './resources/index.ts'
import { latchkeyIssuer } from './tokens/access-token.ts'
import { sharedSecretTokens } from './tokens/foreign-token.ts'
import { SharedKeys } from './tokens/shared-keys.ts'

interface Surroundings {
  readonly db: Db
  /** Migrates or checks the schema. */
  readonly prepare?: (signal: AbortSignal) => Promise<void>
  /** Defers `prepare` and other work with the database to `app.startWork()`. */
  readonly listenFirst?: boolean
  /** LISTEN for the revocations of other instances; without it they are only polled. */
  readonly listen?: Listen | undefined
  /** Of the pools; for the metrics. */
  readonly countConnections?: CountConnections
  /** LISTEN for events, of this process too; without it they are polled. */
  readonly listenToEvents?: Listen | undefined
  readonly clock?: Clock
  /** Standard output by default. */
  readonly logStream?: { write(line: string): void }
}

/** Bytes. */
const bodyLimit = 16 * 1024

/** Builds the service: options, then plugins, then routes. It owns `db` and closes it with itself. */
export async function buildApp(
  config: Config,
  {
    db,
    prepare,
    listenFirst,
    listen,
    listenToEvents,
    countConnections = () => [],
    clock = systemClock,
    logStream,
  }: Surroundings,
): Promise<FastifyInstance> {
  const basePath = basePathOf(config.publicUrl)
  function rewriteUrl(this: FastifyInstance, request: IncomingMessage): string {
    const { url = '' } = request
    const isPath = (target: string) => this.hasPath(isQuestion(target) ? verifyPath : target)
    const path = pathOfTarget(url)
    const target =
      basePath === '' ? path : withoutBasePath(basePath, withoutInsertedPath(basePath, path), isPath)
    const received = path === url ? target : url
    return config.gatewayVerify ? withoutQuestion(request, target, received) : received
  }
  const app = Fastify({
    logger: {
      level: config.logLevel,
      serializers: { err: describeError },
      ...(logStream ? { stream: logStream } : {}),
    },
    // plugins/log/request-log.ts logs each request.
    logController: new LogController({ disableRequestLogging: true }),
    requestIdHeader: false,
    genReqId: ({ headers }) => foreignRequestId(headers['x-request-id']) ?? randomUUID(),
    // Long enough for an RSA key and the first migration on a busy machine; the default is 10 seconds.
    pluginTimeout: 60_000,
    trustProxy: config.trustProxy === false ? false : [...config.trustProxy],
    // For the whole request, and in `http` for its head (Slowloris).
    requestTimeout: 25_000,
    keepAliveTimeout: config.keepAliveSeconds * 1000,
    http: {
      headersTimeout: 5_000,
      connectionsCheckingInterval: 1_000,
      // plugins/http/framing.ts refuses a request without Host, with a problem.
      requireHostHeader: false,
    },
    // While it drains, requests are served; only /health/ready fails.
    return503OnClosing: false,
    bodyLimit,
    rewriteUrl,
    // Longer than any accepted URL: plugins/problems/not-found.ts limits parameters.
    routerOptions: { maxParamLength: 8_000 },
    frameworkErrors: sendFrameworkProblem,
    clientErrorHandler(error, socket) {
      refuseUnparsable(app, error, socket)
    },
  })

  // Before any route, that of @fastify/cors included: a route keeps the error handler of its registration.
  await app.register(errors)
  await app.register(metrics, {
    port: config.metricsPort,
    host: config.host,
    issuers: [config.publicUrl, ...config.trustedIssuers.map(({ issuer }) => issuer)],
    countConnections,
  })
  await app.register(forwarding)
  await app.register(connections)
  await app.register(addresses)
  await app.register(lingeringClose, { bodyLimit })
  await app.register(keepAlive)
  await app.register(requestLog)
  await app.register(securityHeaders, { hsts: config.hsts })
  if (config.mode === 'development')
    await app.register(allowedHosts, { publicUrl: config.publicUrl, host: config.host })
  const { budgets, addressLimits, redisUrl } = config
  await app.register(rateLimit, { budgets, byAddress: addressLimits, redisUrl })
  await app.register(cors, { origins: config.corsOrigins })
  await app.register(framing)
  await app.register(validation)
  await app.register(idempotency, { keys: macKeys(config.secretKey, config.previousSecretKey) })
  const served = resources.filter(({ onlyInTests }) => !onlyInTests || config.mode === 'test')
  await app.register(contract, { basePath, resources: served })
  await app.register(pressure, { maxDelay: config.maxEventLoopDelay })
  await app.register(notFound)
  await app.register(database, { db, prepare, listenFirst })
  await app.register(cleanUp, { unverifiedDays: config.mail.unverifiedDays })
  await app.register(securityEvents)
  await app.register(accountLimits, { budgets, secret: config.secretKey })
  await app.register(serviceFailures, { byAddress: addressLimits })
  await app.register(serviceClients, { clients: config.serviceClients })
  await app.register(passwords, config.hashing)
  await app.register(blocklist, { enabled: config.passwordBlocklist, publicUrl: config.publicUrl })
  const style = { from: config.mail.from, appUrl: config.mail.appUrl, texts: english }
  await app.register(mail, {
    smtp: config.mail.smtp,
    helo: config.mail.helo,
    local: config.mode !== 'production',
    verificationRequired: config.mail.verificationRequired,
    style,
    tokens: {
      resetSeconds: config.mail.resetMinutes * 60,
      verificationSeconds: config.mail.verificationHours * 3600,
      keys: oneTimeKeys(config.secretKey, config.previousSecretKey),
    },
  })
  await app.register(sessions, {
    policy: sessionPolicyOf(config),
    clock,
    listen,
    pollSeconds: config.revocationPollSeconds,
  })
  await app.register(events, { listen: listenToEvents })
  await app.register(webhooks, { webhook: config.webhook })
  await app.register(eventSeals, { secret: config.secretKey, previousSecret: config.previousSecretKey })
  await app.register(secondFactor, {
    secret: config.secretKey,
    previousSecret: config.previousSecretKey,
    issuer: serviceName(style),
  })
  await app.register(apiKeys, { clock, secondFactor: config.requireSecondFactor })
  await app.register(signingKeys, {
    algorithm: config.algorithm,
    secret: config.secretKey,
    previousSecret: config.previousSecretKey,
    lifetime: config.accessTokenSeconds,
    rotationDays: config.keyRotationDays,
    clock,
  })
  const policy = {
    issuer: config.publicUrl,
    audience: config.audience,
    lifetime: config.accessTokenSeconds,
  }
  const keys = app.signingKeys ?? new SharedKeys(config.secretKey, config.previousSecretKey)
  await app.register(auth, {
    issuers: [
      latchkeyIssuer(policy, keys),
      ...(app.signingKeys
        ? []
        : [
            sharedSecretTokens(keys, {
              audience: config.audience,
              longestLifetime: config.foreignTokenSeconds,
            }),
          ]),
    ],
    configuredIssuers: config.trustedIssuers,
    longestForeignLifetime: config.foreignTokenSeconds,
    signing: {
      algorithm: config.algorithm,
      // The default for jwt.sign; issueAccessToken passes the current key itself.
      key: app.signingKeys ? async () => app.signingKeys?.signingKey().key ?? '' : config.secretKey,
    },
    clock,
    secondFactor: config.requireSecondFactor,
    assertLive: (user) => app.revocations.assertLive(user),
    apiKeys: app.apiKeys,
    credentials: app.serviceCredentials,
    assertCurrent: (service) => app.serviceClients.assertCurrent(service),
    outcomes: app.metrics
      ? {
          own: config.publicUrl,
          onOutcome: (issuer, outcome) => app.metrics?.countToken(issuer, outcome),
        }
      : undefined,
  })
  await app.register(accessTokens, { policy, clock })
  await app.register(ownedWrites)

  await app.register(authRoutes, { prefix: '/api/auth', maxKeyDays: config.maxKeyDays })
  for (const resource of served) {
    const prefix = `/api/:user_id/${resource.name}`
    await app.register(ownedRoutes, { prefix, resource, basePath, max: resource.limitOf(config) })
  }
  await app.register(eventRoutes, { prefix: '/api/events', basePath })
  await app.register(adminRoutes, {
    prefix: '/api/admin',
    basePath,
    trustedIssuers: config.trustedIssuers.map(({ issuer }) => issuer),
  })
  await app.register(oauthRoutes, { prefix: '/oauth' })
  await app.register(wellKnownRoutes, {
    prefix: '/.well-known',
    publicUrl: config.publicUrl,
    algorithm: config.algorithm,
  })
  if (config.gatewayVerify) {
    await app.register(gateway, {
      issuer: config.publicUrl,
      byAddress: addressLimits,
      secondFactor: config.requireSecondFactor,
      clock,
    })
    await app.register(gatewayRoutes)
  }
  await app.register(revocationRoutes, { prefix: '/gateway/revocations', basePath })
  await app.register(healthRoutes, { prefix: '/health' })
  await app.register(docsRoutes, { basePath, page: config.docs })
  if (config.mode === 'development') {
    await app.register(devRoutes, { prefix: '/dev/mailbox', publicUrl: config.publicUrl, basePath, style })
    await app.register(accountRoutes, { prefix: '/dev/account', basePath })
  }
  return app
}

/** Accepts a gateway's request id unless it could forge a log line or a header (injection). */
function foreignRequestId(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && /^[A-Za-z0-9._:@/=+-]{1,128}$/.test(header) ? header : undefined
}
