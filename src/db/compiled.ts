import type { Compilable, CompiledQuery } from 'kysely'
import type { Db } from './schema.ts'

/** Stands for a value that is not known when the statement is put together. */
class Parameter {
  readonly name: PropertyKey

  constructor(name: PropertyKey) {
    this.name = name
  }
}

/**
 * A statement that is put together once and then sent with other values each time: for what most requests wait for.
 * @param build gets a stand-in for each value, good for what Kysely sends as a parameter and for nothing else
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
