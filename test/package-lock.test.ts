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
  t.test(`${file}locks every package by its SHA-512, on every platform`, async (t) => {
    const { packages } = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Locked> }
    const locked = Object.entries(packages).filter(([path, { link }]) => path !== '' && !link)
    t.ok(locked.length > 100, 'packages are found')
    const without = locked.filter(
      ([, { integrity }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? ''),
    )
    // npm omits the hash of another platform's package unless the registry's manifest was fetched.
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
      'no registry is fixed',
    )
  })
}
