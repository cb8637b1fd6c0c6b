import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { OpenAPIV3_1 } from 'openapi-types'

/** openapi.yaml as JSON, made by before.ts: parsing YAML costs about 200 ms per test file. */
export const contractFile = join(import.meta.dirname, '../..', 'test-contract.json')

export type JsonSchema = Readonly<Record<string, unknown>>

/** An operation of openapi.yaml. */
export interface Operation {
  readonly method: string
  /** With parameters in braces. */
  readonly path: string
  readonly operation: OpenAPIV3_1.OperationObject
}

let parsed: OpenAPIV3_1.Document | undefined

/** The committed openapi.yaml. */
export function contract(): OpenAPIV3_1.Document {
  parsed ??= JSON.parse(readFileSync(contractFile, 'utf8')) as OpenAPIV3_1.Document
  return parsed
}

const methods = ['get', 'put', 'post', 'delete', 'patch', 'options', 'head', 'trace'] as const

/** Every operation of the committed openapi.yaml. */
export function operations(): Operation[] {
  return Object.entries(contract().paths ?? {}).flatMap(([path, item]) =>
    methods.flatMap((method) => {
      const operation = item?.[method]
      return operation ? [{ method: method.toUpperCase(), path, operation }] : []
    }),
  )
}

/** The path of the contract that matches a URL's path. */
export function documentedPath(pathname: string): string | undefined {
  return Object.keys(contract().paths ?? {}).find((path) =>
    new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`).test(pathname),
  )
}

/** A schema, or the component that it refers to. */
export function dereferenced(schema: JsonSchema): JsonSchema {
  const name =
    String(schema['$ref'] ?? '')
      .split('/')
      .at(-1) ?? ''
  return (contract().components?.schemas?.[name] as JsonSchema | undefined) ?? schema
}
