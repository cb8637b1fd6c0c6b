/** A name in snake_case, as in a sentence. */
export function spaced(name: string): string {
  return name.replaceAll('_', ' ')
}

export function withArticle(words: string): string {
  return `${/^[aeio]/.test(words) ? 'an' : 'a'} ${words}`
}

/** As the name of a type. */
export function pascalCase(name: string): string {
  return name
    .split('_')
    .map((part) => `${part.charAt(0).toUpperCase()}${part.slice(1)}`)
    .join('')
}
