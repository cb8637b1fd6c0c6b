import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'

const folders = ['src', 'plugins', 'routes']

const files = folders.flatMap((folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .map((file) => join(folder, file)),
)

const statement = /^(?:import|export)\s(?:[^'"]*?\sfrom\s)?'(\.[^']+)'/gm
const dynamic = /\bimport\('(\.[^']+)'\)/g

/** Whether only types are imported, which the compiler removes. */
const isType = (text: string) => {
  if (/^(?:import|export) type\s/.test(text)) return true
  const names =
    /\{([^}]*)\}/
      .exec(text)?.[1]
      ?.split(',')
      .map((name) => name.trim()) ?? []
  return names.length > 0 && names.every((name) => name === '' || name.startsWith('type '))
}

type Graph = ReadonlyMap<string, ReadonlySet<string>>

/** The imports of each file. */
function importsOf({ types }: { types: boolean }): Graph {
  return new Map(
    files.map((file) => {
      const text = readFileSync(file, 'utf8')
      const found = [...text.matchAll(statement), ...text.matchAll(dynamic)]
      const wanted = found.filter(([whole]) => types || !isType(whole))
      return [file, new Set(wanted.map(([, path = '']) => normalize(join(dirname(file), path))))]
    }),
  )
}

/** The imports between folders. Files directly in src compose the service, so each counts by itself. */
function folderGraph(graph: Graph): Graph {
  const roomOf = (file: string) => (dirname(file) === 'src' ? file : dirname(file))
  const rooms = new Map<string, Set<string>>()
  for (const [file, targets] of graph) {
    const room = rooms.get(roomOf(file)) ?? new Set()
    for (const target of targets) if (roomOf(target) !== roomOf(file)) room.add(roomOf(target))
    rooms.set(roomOf(file), room)
  }
  return rooms
}

/** A cycle, or undefined. */
function circle(graph: Graph): string[] | undefined {
  const done = new Set<string>()
  const visit = (node: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(node)) return [...path.slice(path.indexOf(node)), node]
    if (done.has(node)) return undefined
    for (const next of graph.get(node) ?? []) {
      const found = visit(next, [...path, node])
      if (found) return found
    }
    done.add(node)
    return undefined
  }
  for (const node of graph.keys()) {
    const found = visit(node, [])
    if (found) return found
  }
  return undefined
}

t.test('the check finds a cycle', async (t) => {
  const graph = new Map([
    ['a', new Set(['b'])],
    ['b', new Set(['c'])],
    ['c', new Set(['b'])],
  ])
  t.same(circle(graph), ['b', 'c', 'b'])
  t.equal(circle(new Map([['a', new Set(['b'])]])), undefined)
  t.ok((importsOf({ types: false }).get('src/app.ts')?.size ?? 0) > 20, 'imports are found')
})

t.test('there is no import cycle between files, types included', async (t) => {
  t.equal(circle(importsOf({ types: true })), undefined)
})

t.test('there is no import cycle between folders of src, types excluded', async (t) => {
  const graph = folderGraph(importsOf({ types: false }))
  t.equal(circle(new Map([...graph].filter(([room]) => room.startsWith('src')))), undefined)
})

t.test('there is no import cycle between folders of plugins, types excluded', async (t) => {
  const graph = folderGraph(importsOf({ types: false }))
  t.equal(circle(new Map([...graph].filter(([room]) => room.startsWith('plugins')))), undefined)
})

t.test('src imports no route or plugin, except in app.ts', async (t) => {
  for (const [file, targets] of importsOf({ types: false })) {
    if (!file.startsWith('src/') || file === 'src/app.ts') continue
    t.same(
      [...targets].filter((target) => !target.startsWith('src/')),
      [],
      file,
    )
  }
})

t.test('at most eight files are directly in src', async (t) => {
  const loose = files.filter((file) => dirname(file) === 'src')
  t.ok(loose.length <= 8, loose.join(', '))
})
