import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { openPostgres } from '../../../src/db/postgres.ts'
import { ownPostgres } from '../../support/own-postgres.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { runCommand, startService } from '../../support/process.ts'
import { production, server } from '../../support/production.ts'
import { get, signUpAt } from '../../support/remote-user.ts'

/** Starts the service on an unusable URL. @returns its output, which is one line */
async function refusal(t: Test, url: string, env: Record<string, string> = {}): Promise<string> {
  const cwd = t.testdir()
  const outputs: string[] = []
  for (const command of [[], ['migrate']]) {
    const { code, output } = await runCommand(
      t,
      await production(t, { DATABASE_URL: url, ...env }),
      cwd,
      ...command,
    )
    t.equal(code, 1)
    t.match(output, /^latchkey: [^\n]*\n$/, 'one line')
    outputs.push(output)
  }
  t.equal(new Set(outputs).size, 1, 'the same from both commands')
  return outputs[0] ?? ''
}

function withQuery(url: string, query: Record<string, string>): string {
  const changed = new URL(url)
  for (const [name, value] of Object.entries(query)) changed.searchParams.set(name, value)
  return changed.href
}

/** A CA, and certificates that it signs. */
function authority(folder: string) {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  const key = (name: string) => [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    `${name}.key`,
  ]
  openssl('req', '-x509', ...key('ca'), '-out', 'ca.crt', '-subj', '/CN=Test CA', '-days', '2')
  return {
    ca: join(folder, 'ca.crt'),
    certificate(name: string, altName: string, days: string) {
      openssl('req', ...key(name), '-out', `${name}.csr`, '-subj', `/CN=${name}`)
      writeFileSync(join(folder, `${name}.ext`), `subjectAltName=${altName}\n`)
      openssl(
        'x509',
        '-req',
        '-in',
        `${name}.csr`,
        '-CA',
        'ca.crt',
        '-CAkey',
        'ca.key',
        '-CAcreateserial',
        '-days',
        days,
        '-extfile',
        `${name}.ext`,
        '-out',
        `${name}.crt`,
      )
      return [`${name}.crt`, `${name}.key`].map((file) => readFileSync(join(folder, file), 'utf8')) as [
        string,
        string,
      ]
    },
  }
}

t.test(
  'TLS to PostgreSQL: an invalid certificate ends the start with one line, and a valid one is accepted',
  async (t) => {
    const database = await ownPostgres(t)
    // Not t.testdir(), which is emptied for each service.
    const folder = mkdtempSync(join(tmpdir(), 'latchkey-ca-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const { ca, certificate } = authority(folder)
    async function serveWith([crt, key]: [string, string]) {
      await database.kill()
      const files = [
        `ssl_cert_file=${database.give('server.crt', crt)}`,
        `ssl_key_file=${database.give('server.key', key)}`,
      ]
      for (let up = false; !up; ) {
        database.start(['ssl=on', ...files])
        for (let tries = 0; !up && tries < 60; tries++) {
          const db = openPostgres({ url: database.url, poolSize: 1, onIdleError: () => {} })
          up = await sql`select 1`.execute(db).then(
            () => true,
            () => false,
          )
          await db.destroy()
          if (!up) await delay(50)
        }
      }
    }

    await serveWith(certificate('good', 'IP:127.0.0.1,DNS:localhost', '2'))
    for (const sslmode of ['verify-full', 'require', 'prefer', 'verify-ca']) {
      const output = await refusal(t, withQuery(database.url, { sslmode }))
      t.match(
        output,
        /^latchkey: DATABASE_URL: the server's certificate is not signed by a CA that is known here: add &sslrootcert=.*NODE_EXTRA_CA_CERTS/,
      )
    }
    const trusted = withQuery(database.url, { sslmode: 'require', sslrootcert: ca })
    for (const env of [
      { DATABASE_URL: trusted },
      { DATABASE_URL: withQuery(database.url, { sslmode: 'require' }), NODE_EXTRA_CA_CERTS: ca },
    ]) {
      const service = await startService(t, await production(t, env), t.testdir())
      const [alice, bob] = [await signUpAt(service.url), await signUpAt(service.url)]
      t.equal((await get(`${service.url}${alice.tasks}`, alice)).status, 200)
      t.equal((await get(`${service.url}${alice.tasks}`, bob)).status, 403)
      const db = openPostgres({ url: database.url, poolSize: 1, onIdleError: () => {} })
      const { rows } =
        await sql`select bool_and(ssl) as ssl, count(*) >= 3 as several from pg_stat_ssl join pg_stat_activity
      using (pid) where application_name like 'latchkey%' and pid <> pg_backend_pid()`.execute(db)
      await db.destroy()
      t.same(rows, [{ ssl: true, several: true }], 'all of its connections')
      t.notMatch(service.output(), /SECURITY WARNING/)
      t.same(await service.stop('SIGTERM'), { code: 0, signal: null })
    }
    const empty = join(folder, 'empty.crt')
    writeFileSync(empty, '')
    t.match(
      await refusal(t, withQuery(trusted, { sslrootcert: empty })),
      /^latchkey: DATABASE_URL: the file of sslrootcert contains no PEM/,
    )
    t.match(
      await refusal(t, withQuery(trusted, { sslrootcert: '/none' })),
      /^latchkey: DATABASE_URL: the file of sslrootcert cannot be read: ENOENT/,
    )

    await serveWith(certificate('other', 'DNS:db.example.com', '2'))
    t.match(
      await refusal(t, trusted),
      /^latchkey: DATABASE_URL: the server's certificate is for another host name/,
    )
    await serveWith(certificate('old', 'IP:127.0.0.1', '0'))
    t.match(await refusal(t, trusted), /^latchkey: DATABASE_URL: the server's certificate has expired/)
  },
)

t.test('a refusal of the server is reported in one line that names the variable', async (t) => {
  const { url } = await freshDatabase(t, server)
  const changed = (change: (url: URL) => void) => {
    const other = new URL(url)
    change(other)
    return other.href
  }
  for (const [what, wrong, reason] of [
    [
      'no TLS there',
      withQuery(url, { sslmode: 'require' }),
      /the server does not speak TLS, which the URL asks for/,
    ],
    [
      'no such database',
      changed((other) => (other.pathname = '/latchkey_none')),
      /database "latchkey_none" does not exist/,
    ],
    [
      'no such role',
      changed((other) => (other.username = 'latchkey_none')),
      /role "latchkey_none" does not exist/,
    ],
    [
      'no such setting',
      withQuery(url, { options: '-c latchkeynone=1' }),
      /unrecognized configuration parameter/,
    ],
    ['no such schema', withQuery(url, { options: '-c search_path=none' }), /search_path leads to no schema/],
  ] as const) {
    const output = await refusal(t, wrong)
    t.match(output, /^latchkey: DATABASE_URL: /, what)
    t.match(output, reason, what)
  }
  // A service would retry; a command does not.
  const away = await runCommand(
    t,
    await production(t, { DATABASE_URL: changed((other) => (other.port = '1')) }),
    t.testdir(),
    'migrate',
  )
  t.match(away, {
    code: 1,
    output: /^latchkey: DATABASE_URL: the database is away: connect ECONNREFUSED[^\n]*\n$/,
  })
})

t.test('a wrong or missing password is reported in one line', async (t) => {
  const database = await ownPostgres(t)
  const hba = database.give(
    'hba.conf',
    'local all all trust\nhost all postgres all trust\nhost all all all scram-sha-256\n',
  )
  database.start([`hba_file=${hba}`])
  const db = openPostgres({ url: database.url, poolSize: 1, onIdleError: () => {} })
  t.teardown(() => db.destroy())
  while (!(await sql`create role app login superuser password 'right'`.execute(db).catch(() => false)))
    await delay(50)
  const url = new URL(database.url)
  url.username = 'app'
  t.match(
    await refusal(t, url.href),
    /^latchkey: DATABASE_URL: the server asks for a password, and the URL has none\n$/,
  )
  url.password = 'wrong-password-of-mine'
  const output = await refusal(t, url.href)
  t.match(output, /^latchkey: DATABASE_URL: password authentication failed for user "app"\n$/)
})

t.test('a database in another encoding than UTF8 stops every command', async (t) => {
  const admin = openPostgres({ url: server, poolSize: 1, onIdleError: () => {} })
  t.teardown(() => admin.destroy())
  for (const encoding of ['LATIN1', 'SQL_ASCII']) {
    const name = `latchkey_test_${encoding.toLowerCase()}_${process.pid}`
    await sql
      .raw(`create database ${name} encoding '${encoding}' lc_collate 'C' lc_ctype 'C' template template0`)
      .execute(admin)
    t.teardown(() => sql.raw(`drop database ${name} with (force)`).execute(admin))
    const url = new URL(server)
    url.pathname = `/${name}`
    t.match(await refusal(t, url.href), new RegExp(`server_encoding\\) is ${encoding} and must be UTF8`))
  }
})

t.test('times, bytes and numbers are parsed under any settings of the database', async (t) => {
  const { url } = await freshDatabase(t, server)
  const db = openPostgres({ url, poolSize: 1, onIdleError: () => {} })
  t.teardown(() => db.destroy())
  for (const [name, value] of Object.entries({
    DateStyle: 'German',
    IntervalStyle: 'sql_standard',
    TimeZone: 'Asia/Kolkata',
    bytea_output: 'escape',
    extra_float_digits: '-5',
    standard_conforming_strings: 'off',
    lc_messages: 'C',
    default_transaction_isolation: 'serializable',
  })) {
    await sql`alter database ${sql.id(new URL(url).pathname.slice(1))} set ${sql.id(name)} = ${sql.lit(value)}`.execute(
      db,
    )
  }
  for (const env of [{}, { ALGORITHM: 'ES256' }]) {
    const service = await startService(t, await production(t, { DATABASE_URL: url, ...env }), t.testdir())
    const [alice, bob] = [await signUpAt(service.url), await signUpAt(service.url)]
    const me = (await (await get(`${service.url}/api/auth/me`, alice)).json()) as { created_at: string }
    t.match(me.created_at, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    t.ok(Math.abs(Date.parse(me.created_at) - Date.now()) < 60_000)
    const refreshed = await fetch(`${service.url}/api/auth/refresh`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ refresh_token: alice.refreshToken }),
    })
    t.equal(refreshed.status, 200)
    t.equal((await get(`${service.url}${alice.tasks}`, bob)).status, 403)
    t.same(await service.stop('SIGTERM'), { code: 0, signal: null })
  }
})
