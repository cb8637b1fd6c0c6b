import { createRequire } from 'node:module'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RouteScope } from '../../plugins/contract/provider.ts'
import { type FixedBody, fixedBody, once, type PageFile, pageFiles, readPageFile } from './files.ts'

/**
 * Content Security Policy of the page: its own files and this service. Swagger UI sets style attributes, so only those
 * may be inline. No `upgrade-insecure-requests`: it would break the page on plain http.
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

/** Cache-Control max-age of the page's files. */
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

/** No top bar: its style element violates the policy. */
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
 * Swagger UI at /docs, behind a gateway's prefix if there is one. Not by @fastify/swagger-ui's plugin, which renders the
 * document and reads 1.7 MB from the disk for each request; here both are cached.
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
    // Loaded lazily: most processes never need it.
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

/** Sends a cacheable body, compressed if the client accepts it, or 304 if its ETag matches. */
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

/** RFC 9110 section 12.5.3: listed, and not with `q=0`. */
function takesGzip(header: string | string[] | undefined): boolean {
  const coding = String(header ?? '')
    .split(',')
    .map((part) => part.trim().toLowerCase())
    .find((part) => /^(x-)?gzip\b/.test(part))
  return coding !== undefined && !/;\s*q=0(\.0*)?$/.test(coding)
}

/** RFC 9110 section 13.1.2, weak comparison: both codings of a file have the same tag. */
function matches(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return header.split(',').some((part) => {
    const [, value] = /^\s*(?:W\/)?"([^"]*)"\s*$/.exec(part) ?? []
    return value === tag || value === `${tag}-gzip`
  })
}
