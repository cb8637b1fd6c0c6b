/** The element of the page with an id. @throws Error when the page has none of this kind */
export function byId<T extends Element>(id: string, kind: new () => T): T {
  const element = document.getElementById(id)
  if (element instanceof kind) return element
  throw new Error(`the page has no #${id}`)
}

export function section(id: string): HTMLElement {
  return byId(id, HTMLElement)
}

/** Shows the section of a name, and hides the others beside it. */
export function show(id: string): void {
  const wanted = section(id)
  for (const other of wanted.parentElement?.children ?? []) {
    if (other instanceof HTMLElement && other.tagName === 'SECTION') other.hidden = other !== wanted
  }
}

/** An element with text, never markup. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  ...content: (string | Node)[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag)
  made.append(...content)
  return made
}

/** Calls `submit` with the fields of a form; a form in flight is not sent twice, and one that succeeded is emptied. */
export function onSubmit(
  id: string,
  submit: (field: (name: string) => string) => Promise<boolean | undefined>,
): void {
  const form = byId(id, HTMLFormElement)
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    if (form.ariaBusy === 'true') return
    form.ariaBusy = 'true'
    const data = new FormData(form)
    try {
      if (await submit((name) => String(data.get(name) ?? ''))) form.reset()
    } finally {
      form.ariaBusy = 'false'
    }
  })
}

export function onClick(id: string, click: () => Promise<unknown>): void {
  byId(id, HTMLButtonElement).addEventListener('click', () => void click())
}
