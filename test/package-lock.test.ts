import { readFileSync } from 'node:fs'
import t from 'tap'

interface Locked {
  readonly version?: string
  readonly integrity?: string
  readonly resolved?: string
  readonly link?: boolean
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

for (const file of ['package-lock.json', 'generators/package-lock.json']) {
  t.test(`${file}: what is installed is what was locked, on every platform`, async (t) => {
    const { packages } = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Locked> }
    const locked = Object.entries(packages).filter(([path, { link }]) => path !== '' && !link)
    t.ok(locked.length > 100, 'the list is read')
    const without = locked.filter(
      ([, { integrity }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? ''),
    )
    // npm knows the hash of a package of another platform only where it has its manifest from the registry.
    t.same(
      without.map(
        ([path, { version }]) => `npm view ${path.replace(/.*node_modules\//, '')}@${version} dist.integrity`,
      ),
      [],
      'each package has a SHA-512',
    )
    t.same(
      locked.filter(([, { resolved }]) => resolved !== undefined).map(([path]) => path),
      [],
      'no host is named: the registry is that of whoever installs',
    )
  })
}
