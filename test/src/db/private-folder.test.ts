import { chmodSync, chownSync, mkdirSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  DataFolderUnusable,
  ensurePrivate,
  ensurePrivateFolder,
  madePrivate,
} from '../../../src/db/private-folder.ts'

const modeOf = (path: string) => (statSync(path).mode & 0o7777).toString(8)

function withUmask(t: Test, mask: number): void {
  const before = process.umask(mask)
  t.teardown(() => process.umask(before))
}

/** A folder of another user. */
function foreignFolder(parent: string): string {
  if (process.geteuid?.() !== 0) return '/usr'
  const folder = join(parent, 'foreign')
  mkdirSync(folder, { mode: 0o700 })
  chownSync(folder, 65_534, 65_534)
  return folder
}

t.test('DATA_DIR is created with mode 0700, whatever the umask', async (t) => {
  for (const mask of [0, 0o022, 0o077]) {
    withUmask(t, mask)
    const folder = join(t.testdir(), 'data')
    ensurePrivateFolder(folder)
    t.equal(modeOf(folder), '700', mask.toString(8))
    rmSync(folder, { recursive: true })
  }
})

t.test('permissions of an existing DATA_DIR are tightened, recursively', async (t) => {
  withUmask(t, 0)
  const elsewhere = join(
    t.testdir({ elsewhere: 'x', data: { pglite: { base: { 1: 'x' } }, secret_key: 'x' } }),
    'elsewhere',
  )
  const folder = join(elsewhere, '../data')
  symlinkSync(elsewhere, join(folder, 'pglite/link'))
  for (const path of ['', 'pglite', 'pglite/base']) chmodSync(join(folder, path), 0o2755)
  for (const path of ['pglite/base/1', 'secret_key']) chmodSync(join(folder, path), 0o666)
  chmodSync(elsewhere, 0o644)
  const before = madePrivate.length
  ensurePrivateFolder(folder)
  ensurePrivate(folder, join(folder, 'pglite'))
  ensurePrivate(folder, join(folder, 'secret_key'))
  ensurePrivate(folder, join(folder, 'lock'))
  t.equal(modeOf(folder), '2700')
  t.equal(modeOf(join(folder, 'pglite/base')), '2700')
  t.equal(modeOf(join(folder, 'pglite/base/1')), '600')
  t.equal(modeOf(join(folder, 'secret_key')), '600')
  t.equal(modeOf(elsewhere), '644', 'a link is not followed')
  t.equal(madePrivate.length - before, 5, 'each is reported for the log')
  ensurePrivateFolder(folder)
  t.equal(madePrivate.length - before, 5)
})

t.test('an unusable DATA_DIR is refused in one line that names it, and left unchanged', async (t) => {
  const folder = t.testdir({ file: 'x', shared: { other: 'x' } })
  chmodSync(join(folder, 'shared'), 0o755)
  const refused: [path: string, reason: RegExp][] = [
    [join(folder, 'none/data'), /its parent folder does not exist$/],
    [join(folder, 'file'), /is not a folder$/],
    [join(folder, 'file/data'), /cannot be created: ENOTDIR$/],
    [join(folder, 'shared'), /holds files of something else: name a folder of its own, or chmod 700 it$/],
    [foreignFolder(folder), /belongs to another user \(uid \d+\): name a folder of this user$/],
  ]
  for (const [path, reason] of refused) {
    const refusal = t.throws(() => ensurePrivateFolder(path), DataFolderUnusable, path) as unknown as Error
    t.match(refusal.message, reason)
    t.ok(refusal.message.startsWith(`DATA_DIR ${path} `))
    t.notMatch(refusal.message, '\n')
  }
  t.equal(modeOf(join(folder, 'shared')), '755')
  chmodSync(join(folder, 'shared'), 0o700)
  ensurePrivateFolder(join(folder, 'shared'))
})
