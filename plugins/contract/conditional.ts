import { Type } from '@sinclair/typebox'

const EntityTags = (description: string) =>
  Type.Optional(Type.String({ maxLength: 1000, description, examples: ['"1"'] }))

/** The request headers that `preconditionsOf` of src/http/etag.ts reads. */
export const ConditionalHeaders = Type.Object({
  'if-match': EntityTags('The `ETag` that the resource must still have, RFC 9110 section 13.1.1'),
  'if-none-match': EntityTags('The `ETag` that the resource must not have, RFC 9110 section 13.1.2'),
})

/** For answers with one resource. */
export const etagHeader = {
  ETag: {
    type: 'string',
    description: 'The version of the resource, for `If-Match` and `If-None-Match`',
  },
}
