const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"

/** One parameter with the `;` before it (RFC 9110 section 5.6.6). */
const parameter = new RegExp(`[ \\t]*;[ \\t]*(${token})=(?:(${token})|"((?:[^"\\\\]|\\\\.)*)")`, 'y')

/** Some clients send a trailing `;`. */
const end = /(?:[ \t]*;[ \t]*)?$/y

/**
 * Whether a Content-Type is the media type in UTF-8. Neither JSON (RFC 8259 section 11) nor a form has parameters, so
 * unknown ones are ignored; but some servers decode by `charset`, so one other than UTF-8 is refused.
 * @param mediaType in lower case, without parameters
 */
export function isInUtf8(contentType: string, mediaType: string): boolean {
  if (contentType.slice(0, mediaType.length).toLowerCase() !== mediaType) return false
  if (!/^(?:[ \t;]|$)/.test(contentType.slice(mediaType.length))) return false
  const seen = new Set<string>()
  let at = mediaType.length
  for (let found = parameterAt(contentType, at); found; found = parameterAt(contentType, at)) {
    const [text, name = '', value = found[3] ?? ''] = found
    const key = name.toLowerCase()
    // Of duplicate parameters, two servers may use different ones.
    if (seen.has(key) || (key === 'charset' && value.toLowerCase() !== 'utf-8')) return false
    seen.add(key)
    at += text.length
  }
  end.lastIndex = at
  return end.test(contentType)
}

function parameterAt(text: string, at: number): RegExpExecArray | null {
  parameter.lastIndex = at
  return parameter.exec(text)
}
