const fields = '([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}'
/** Later versions may append fields after a hyphen. A comma means a second header. */
const traceparent = new RegExp(`^(?:${fields})(-[^,]*)?$`)

/** The trace id of a `traceparent` header (W3C Trace Context, section 3.2), if that is a valid one. */
export function traceIdOf(header: string | string[] | undefined): string | undefined {
  if (typeof header !== 'string') return undefined
  const [, version, traceId = '', parentId = '', more] = traceparent.exec(header) ?? []
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined
  return /^0+$/.test(traceId) || /^0+$/.test(parentId) ? undefined : traceId
}
