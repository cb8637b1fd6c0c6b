/** The header of an answer that is a page (RFC 8288). */
export const linkHeader = {
  Link: { type: 'string', description: '`rel="next"` when there is more, RFC 8288' },
}

/** @returns the `next` link, with the filters that are set */
export function nextLink(
  path: string,
  query: Readonly<Record<string, string | number | boolean | undefined>>,
): string {
  const set = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) set.set(name, String(value))
  return `<${path}?${set}>; rel="next"`
}
