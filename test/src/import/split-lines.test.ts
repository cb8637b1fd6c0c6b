import t, { type Test } from 'tap'
import { type Line, linesOf } from '../../../src/import/split-lines.ts'

async function* inChunks(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** The lines of a text, equal for every chunk size. */
async function split(t: Test, text: string | Uint8Array, longest = 100): Promise<(string | undefined)[]> {
  const bytes = Buffer.from(text)
  let lines: (string | undefined)[] = []
  for (const size of [1, 2, 3, 7, 1_000]) {
    const all: Line[] = []
    for await (const line of linesOf(inChunks(bytes, size), longest)) all.push(line)
    t.same(
      all.map(({ number }) => number),
      all.map((_, at) => at + 1),
    )
    const found = all.map((line) => line.bytes && Buffer.from(line.bytes).toString('latin1'))
    if (size > 1) t.same(found, lines, `in chunks of ${size}`)
    lines = found
  }
  return lines
}

t.test('lines end at line feeds or at the end of the input', async (t) => {
  t.same(await split(t, ''), [])
  t.same(await split(t, '\n'), [''])
  t.same(await split(t, 'a\n\nb'), ['a', '', 'b'])
  t.same(await split(t, 'a\r\nb\n'), ['a\r', 'b'])
  t.same(await split(t, Buffer.from([0x61, 0x0b, 0x62, 0x0c, 0x63, 0x0d, 0x64])), ['a\x0bb\x0cc\x0dd'])
  t.same(await split(t, '\u2028\u2029\u0085'), [Buffer.from('\u2028\u2029\u0085').toString('latin1')])
  t.same(await split(t, Buffer.from([0xff, 0x0a, 0xc0])), ['\xff', '\xc0'], 'bytes are left as they are')
})

t.test('a line that is too long is skipped without buffering it', async (t) => {
  const long = 'x'.repeat(10)
  t.same(await split(t, `${long}\n${long}y\n${long}\n${long}yy`, 10), [long, undefined, long, undefined])
})
