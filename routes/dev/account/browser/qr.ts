import { encode } from 'uqr'

const svg = 'http://www.w3.org/2000/svg'

/** Draws a text as QR code. Dark on white in any colour scheme: not every scanner reads the inverse. */
export function drawQr(into: Element, text: string): void {
  const { data, size } = encode(text, { border: 4 })
  const modules = data.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : [])))
  const image = document.createElementNS(svg, 'svg')
  image.setAttribute('viewBox', `0 0 ${size} ${size}`)
  image.setAttribute('role', 'img')
  image.setAttribute('aria-label', 'QR code of the otpauth link')
  image.setAttribute('shape-rendering', 'crispEdges')
  const path = document.createElementNS(svg, 'path')
  path.setAttribute('d', modules.join(''))
  image.append(path)
  into.replaceChildren(image)
}
