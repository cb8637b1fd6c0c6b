import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'

/** The files of Swagger UI that the page at /docs loads, and their types. */
export const pageFiles = {
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'swagger-ui.css': 'text/css; charset=utf-8',
  'index.css': 'text/css; charset=utf-8',
  'favicon-16x16.png': 'image/png',
  'favicon-32x32.png': 'image/png',
} as const

export type PageFile = keyof typeof pageFiles

/** A cacheable body. */
export interface FixedBody {
  readonly plain: Buffer
  /** Undefined if compression does not make it smaller. */
  readonly gzip: Buffer | undefined
  /** Without its quotes. */
  readonly tag: string
}

const compress = promisify(gzip)

export async function fixedBody(plain: Buffer): Promise<FixedBody> {
  const compressed = await compress(plain, { level: 9 })
  return {
    plain,
    gzip: compressed.length < plain.length * 0.9 ? compressed : undefined,
    tag: createHash('sha256').update(plain).digest('base64url').slice(0, 22),
  }
}

/** The package does not export its files. */
export async function readPageFile(name: PageFile): Promise<FixedBody> {
  const manifest = import.meta.resolve('@fastify/swagger-ui/package.json')
  return fixedBody(await readFile(fileURLToPath(new URL(`static/${name}`, manifest))))
}

/** Lazy, single-flight. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make().catch((error) => {
      made = undefined
      throw error
    })
    return made
  }
}
