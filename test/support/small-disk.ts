import { execFileSync } from 'node:child_process'
import { ftruncateSync, mkdtempSync, openSync, rmdirSync, statfsSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from './postgres.ts'

const megabyte = 2 ** 20

/** A tmpfs that a test can fill. Mounting it takes root, or sudo. */
export function smallDisk(t: Test, megabytes: number) {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-disk-'))
  const asRoot = (command: string, ...args: string[]) => {
    const [file = '', ...all] = [...(process.getuid?.() === 0 ? [] : ['sudo', '-n']), command, ...args]
    execFileSync(file, all)
  }
  asRoot('mount', '-t', 'tmpfs', '-o', `size=${megabytes}m,mode=777`, 'tmpfs', folder)
  t.teardown(() => {
    asRoot('umount', '--lazy', folder)
    rmdirSync(folder)
  })

  const filler = openSync(join(folder, 'filler'), 'w')
  const free = () => statfsSync(folder).bavail * statfsSync(folder).bsize
  return {
    folder,
    /** Fills the disk, except for `leaving` bytes. */
    fill(leaving = 0): void {
      const block = Buffer.alloc(megabyte)
      for (let room = free() - leaving; room > 0; room = free() - leaving) {
        writeSync(filler, block, 0, Math.min(room, megabyte))
      }
    },
    makeRoom: () => ftruncateSync(filler),
  }
}
