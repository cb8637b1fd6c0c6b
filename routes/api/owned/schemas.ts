import { type TSchema, Type } from '@sinclair/typebox'
import { OwnerParams, safeIntegerPattern, Timestamp } from '../../../plugins/contract/schemas.ts'
import type { Field } from '../../../src/owned/fields.ts'
import type { Resource } from '../../../src/owned/resource.ts'

const Id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, examples: [1] })

/** What goes over the wire, of the declaration of a resource. */
export function schemasOf(resource: Resource) {
  const { fields, filters, words, types, parameter } = resource
  return {
    Item: Type.Object(
      {
        id: Id,
        user_id: Type.String({ description: 'The owner', examples: ['user_01kb3v5rs1e2wbhx4hrsz3zj5e'] }),
        ...schemaOfEach(fields, ({ schema }) => schema),
        created_at: Timestamp(`When the ${words.one} was made`),
        updated_at: Timestamp(`When the ${words.one} last changed`),
      },
      { $id: types.one },
    ),
    NewItem: Type.Object(
      schemaOfEach(fields, ({ schema, required }) => (required ? schema : Type.Optional(schema))),
      { $id: `New${types.one}`, additionalProperties: false },
    ),
    ItemChanges: Type.Object(
      schemaOfEach(fields, ({ schema }) => Type.Optional(schema)),
      { $id: `${types.one}Changes`, additionalProperties: false, minProperties: 1 },
    ),
    ListQuery: Type.Object(
      {
        limit: Type.Optional(
          Type.Integer({
            minimum: 1,
            maximum: 100,
            default: 50,
            description: `Most ${words.many} in one answer`,
          }),
        ),
        cursor: Type.Optional(
          Type.String({
            pattern: safeIntegerPattern,
            description: 'From the `next` link of an earlier answer',
            examples: ['20'],
          }),
        ),
        ...schemaOfEach(filters, (field) => Type.Optional(filterOf(field, words.many))),
      },
      { additionalProperties: false },
    ),
    ItemParams: Type.Object({ ...OwnerParams.properties, [parameter]: Id }),
  }
}

function filterOf({ name, schema }: Field, many: string): TSchema {
  const { enum: choices } = schema as { enum?: (string | null)[] }
  if (!choices)
    return Type.Boolean({ description: `Only ${many} that are, or are not, ${name.replaceAll('_', ' ')}` })
  return Type.Unsafe<string>({
    enum: choices.filter((choice) => choice !== null),
    description: `Only ${many} with this ${name.replaceAll('_', ' ')}`,
    type: 'string',
  })
}

function schemaOfEach(
  fields: readonly Field[],
  schemaOf: (field: Field) => TSchema,
): Record<string, TSchema> {
  return Object.fromEntries(fields.map((field) => [field.name, schemaOf(field)]))
}
