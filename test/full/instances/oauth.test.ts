import * as oauth from 'oauth4webapi'
import t from 'tap'
import { freePort } from '../../support/free-port.ts'
import { startService } from '../../support/process.ts'
import { production } from '../../support/production.ts'
import { get, signUpAt } from '../../support/remote-user.ts'
import { clientSecret, serviceClients } from '../../support/service-client.ts'

/** The service is reached without TLS here. */
const insecure = { [oauth.allowInsecureRequests]: true }

t.test('a standard OAuth library: discovery, client credentials, introspection, revocation', async (t) => {
  const port = String(await freePort())
  const issuer = new URL(`http://127.0.0.1:${port}/auth`)
  const env = await production(t, {
    PORT: port,
    PUBLIC_URL: issuer.href,
    ALGORITHM: 'ES256',
    ...serviceClients({ gateway: ['introspect', 'notes:read'] }),
  })
  const { url } = await startService(t, env, t.testdir())
  const gateway: oauth.Client = { client_id: 'gateway' }
  const authentication = oauth.ClientSecretBasic(clientSecret)

  let server: oauth.AuthorizationServer | undefined
  for (const algorithm of ['oidc', 'oauth2'] as const) {
    const found = await oauth.discoveryRequest(issuer, { algorithm, ...insecure })
    server = await oauth.processDiscoveryResponse(issuer, found)
    t.equal(server.issuer, issuer.href, algorithm)
  }
  if (!server) throw new Error('nothing was discovered')
  const discovered = server

  for (const method of [authentication, oauth.ClientSecretPost(clientSecret)]) {
    const parameters = { scope: 'introspect' }
    const granted = await oauth.processClientCredentialsResponse(
      discovered,
      gateway,
      await oauth.clientCredentialsGrantRequest(discovered, gateway, method, parameters, insecure),
    )
    t.match(granted, { token_type: 'bearer', expires_in: 900, scope: 'introspect' })
    const request = new Request(url, { headers: { authorization: `Bearer ${granted.access_token}` } })
    const claims = await oauth.validateJwtAccessToken(discovered, request, issuer.href, insecure)
    t.match(claims, { sub: 'client_gateway', client_id: 'client_gateway', scope: 'introspect' })
  }

  const refused = await oauth
    .processClientCredentialsResponse(
      discovered,
      gateway,
      await oauth.clientCredentialsGrantRequest(
        discovered,
        gateway,
        authentication,
        { scope: 'admin:write' },
        insecure,
      ),
    )
    .catch((error: unknown) => error)
  t.match(refused, { error: 'invalid_scope', status: 400 })
  const stranger = await oauth
    .processClientCredentialsResponse(
      discovered,
      gateway,
      await oauth.clientCredentialsGrantRequest(
        discovered,
        gateway,
        oauth.ClientSecretBasic('x'),
        {},
        insecure,
      ),
    )
    .catch((error: unknown) => error)
  t.match(stranger, { cause: [{ scheme: 'basic', parameters: { realm: 'latchkey' } }], status: 401 })

  const alice = await signUpAt(url)
  const introspect = async (token: string) =>
    oauth.processIntrospectionResponse(
      discovered,
      gateway,
      await oauth.introspectionRequest(discovered, gateway, authentication, token, insecure),
    )
  t.match(await introspect(alice.token), { active: true, iss: issuer.href, token_type: 'Bearer' })
  t.same(await introspect(alice.refreshToken), { active: false })

  const revoked = await oauth.revocationRequest(
    discovered,
    gateway,
    oauth.None(),
    alice.refreshToken,
    insecure,
  )
  t.equal(await oauth.processRevocationResponse(revoked), undefined)
  t.same(await introspect(alice.token), { active: false }, 'at once')
  t.equal((await get(`${url}/api/auth/me`, alice)).status, 401)
})
