import type { Compilable, CompiledQuery } from 'kysely'
import type { Db } from './schema.ts'

/** Placeholder of a parameter while the statement is compiled. */
class Parameter {
  readonly name: PropertyKey

  constructor(name: PropertyKey) {
    this.name = name
  }
}

/**
 * A statement that is compiled once and executed with other values each time, for the hot paths.
 * @param build gets a placeholder for each value, which is valid only where Kysely sends a parameter
 */
export function compiledOnce<Values extends object, Row>(
  build: (db: Db, value: <Name extends keyof Values>(name: Name) => Values[Name]) => Compilable<Row>,
): (db: Db, values: Values) => Promise<Row[]> {
  let compiled: CompiledQuery | undefined
  return async (db, values) => {
    compiled ??= build(db, (name) => new Parameter(name) as never).compile()
    const parameters = compiled.parameters.map((parameter) =>
      parameter instanceof Parameter ? values[parameter.name as keyof Values] : parameter,
    )
    const { rows } = await db.executeQuery({ ...compiled, parameters })
    return rows as Row[]
  }
}
