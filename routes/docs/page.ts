import { createRequire } from 'node:module'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RouteScope } from '../../plugins/contract/provider.ts'
import { type FixedBody, fixedBody, once, type PageFile, pageFiles, readPageFile } from './files.ts'

/**
 * The page's own policy: its files and this service, nothing of another host. Swagger UI writes style attributes,
 * so those alone may be inline. No `upgrade-insecure-requests`: it would empty the page on plain http.
 */
const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "style-src-attr 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const require = createRequire(import.meta.url)

/** Seconds for which a file of the page is used without asking again. */
const filesMaxAge = 3_600

const html = (base: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Latchkey</title>
<link rel="stylesheet" href="${base}/docs/static/swagger-ui.css">
<link rel="stylesheet" href="${base}/docs/static/index.css">
<link rel="icon" type="image/png" href="${base}/docs/static/favicon-32x32.png" sizes="32x32">
<link rel="icon" type="image/png" href="${base}/docs/static/favicon-16x16.png" sizes="16x16">
</head>
<body>
<div id="swagger-ui"></div>
<script src="${base}/docs/static/swagger-ui-bundle.js"></script>
<script src="${base}/docs/static/swagger-initializer.js"></script>
</body>
</html>
`

/** Without the top bar: its logo brings a style element, which the policy refuses. */
const initializer = (base: string) => `window.onload = () => {
  window.ui = SwaggerUIBundle({
    url: ${JSON.stringify(`${base}/docs/json`)},
    dom_id: '#swagger-ui',
    deepLinking: true,
    validatorUrl: null,
    layout: 'BaseLayout',
    presets: [SwaggerUIBundle.presets.apis],
    plugins: [SwaggerUIBundle.plugins.DownloadUrl],
  })
}
`

const config = { access: 'public' } as const
const schema = { hide: true } as const

/**
 * Swagger UI at /docs, behind a gateway's prefix if there is one. The plugin of that name is not registered: it writes
 * the document anew for each request, and reads 1.7 MB from the disk. Here nothing is made twice.
 */
export default async function docsPage(app: RouteScope, { basePath }: { basePath: string }): Promise<void> {
  const page = html(basePath)
  for (const url of ['/docs', '/docs/']) {
    app.get(url, { config, schema }, async (_request, reply) =>
      reply
        .header('content-security-policy', pagePolicy)
        .type('text/html; charset=utf-8')
        .code(200)
        .send(page),
    )
  }

  function serve(name: string, type: string, read: () => Promise<FixedBody>): void {
    app.get(`/docs/static/${name}`, { config, schema }, async (request, reply) =>
      sendFixed(request, reply.type(type), await read()),
    )
  }
  for (const [name, type] of Object.entries(pageFiles)) {
    serve(
      name,
      type,
      once(() => readPageFile(name as PageFile)),
    )
  }
  serve(
    'swagger-initializer.js',
    'text/javascript; charset=utf-8',
    once(() => fixedBody(Buffer.from(initializer(basePath)))),
  )

  const document = () => app.swagger()
  const json = once(async () => Buffer.from(JSON.stringify(document())))
  app.get('/docs/json', { config, schema }, async (_request, reply) =>
    reply
      .type('application/json; charset=utf-8')
      .code(200)
      .send(await json()),
  )
  const yaml = once(async () => {
    // Only now: most processes are never asked for it.
    const { stringify } = require('yaml') as typeof import('yaml')
    return Buffer.from(stringify(JSON.parse(String(await json())), { lineWidth: 100, compat: 'yaml-1.1' }))
  })
  app.get('/docs/yaml', { config, schema }, async (_request, reply) =>
    reply
      .type('application/yaml; charset=utf-8')
      .code(200)
      .send(await yaml()),
  )
}

/** Sends a body that may be cached, compressed where the client takes that, or 304 where it has it. */
function sendFixed(request: FastifyRequest, reply: FastifyReply, { plain, gzip, tag }: FixedBody) {
  const compressed = gzip !== undefined && takesGzip(request.headers['accept-encoding'])
  const etag = compressed ? `"${tag}-gzip"` : `"${tag}"`
  reply.headers({
    'cache-control': `public, max-age=${filesMaxAge}`,
    etag,
    ...(gzip ? { vary: 'accept-encoding' } : {}),
  })
  if (matches(request.headers['if-none-match'], tag)) return reply.code(304).send()
  if (compressed) reply.header('content-encoding', 'gzip')
  return reply.code(200).send(compressed ? gzip : plain)
}

/** RFC 9110 section 12.5.3: named, and not with a weight of nothing. */
function takesGzip(header: string | string[] | undefined): boolean {
  const coding = String(header ?? '')
    .split(',')
    .map((part) => part.trim().toLowerCase())
    .find((part) => /^(x-)?gzip\b/.test(part))
  return coding !== undefined && !/;\s*q=0(\.0*)?$/.test(coding)
}

/** RFC 9110 section 13.1.2, by weak comparison: the tag of either coding is of the same file. */
function matches(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return header.split(',').some((part) => {
    const [, value] = /^\s*(?:W\/)?"([^"]*)"\s*$/.exec(part) ?? []
    return value === tag || value === `${tag}-gzip`
  })
}
