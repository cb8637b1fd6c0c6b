import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { pascalCase } from '../../src/owned/names.ts'
import { Refused } from './refused.ts'
import type { Wanted } from './request.ts'

interface Contract {
  readonly tags?: readonly { readonly name: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId?: string }>>>>
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> }
}

/**
 * @param root folder of the service
 * @throws Refused when a name that the resource would have is another's
 */
export function assertFree({ name, one }: Wanted, root: string): void {
  const declaration = join('src/resources', `${name}.ts`)
  if (existsSync(join(root, declaration))) throw new Refused(`${name} is taken: ${declaration} exists`)

  const tables = tablesIn(join(root, 'src/db/migrations'))
  for (const table of [name, `${one}_counts`])
    if (tables.has(table)) throw new Refused(`${name} is taken: there is a table ${table}`)

  const { tags = [], paths, components } = parse(readFileSync(join(root, 'openapi.yaml'), 'utf8')) as Contract
  if (tags.some((tag) => tag.name === name))
    throw new Refused(`${name} is taken: it is a tag of the contract`)
  const operations = Object.values(paths).flatMap((path) =>
    Object.values(path).map(({ operationId }) => operationId),
  )
  const [Many, One] = [pascalCase(name), pascalCase(one)]
  for (const operation of [
    `list${Many}`,
    ...['create', 'get', 'update', 'patch', 'delete'].map((v) => v + One),
  ])
    if (operations.includes(operation))
      throw new Refused(`${name} is taken: there is an operation ${operation}`)
  for (const schema of [One, `New${One}`, `${One}Changes`])
    if (Object.hasOwn(components.schemas, schema))
      throw new Refused(`${one} is taken: the contract has a schema ${schema}; --one=<name> says another`)

  const problems = readFileSync(join(root, 'src/problem.ts'), 'utf8')
  for (const code of [`${one}_not_found`, `${one}_limit_reached`])
    if (problems.includes(`  ${code}: {`))
      throw new Refused(`${one} is taken: there is a problem ${code}; --one=<name> says another`)
}

function tablesIn(folder: string): Set<string> {
  const created = readdirSync(folder)
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => [...readFileSync(join(folder, file), 'utf8').matchAll(/\bcreateTable\('(\w+)'\)/g)])
  return new Set(created.map(([, table = '']) => table))
}
