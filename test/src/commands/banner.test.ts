import t from 'tap'
import { banner } from '../../../src/commands/banner.ts'
import { loadConfig } from '../../../src/config/load-config.ts'

const production = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://latchkey:hunter2@db/latchkey',
  SECRET_KEY: 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u',
  PUBLIC_URL: 'https://auth.example.com',
}

const bannerOf = (env: Record<string, string>) =>
  banner(
    loadConfig(env, () => 'generated'),
    'http://127.0.0.1:8000',
  )

t.test('the banner shows where limits are counted, and no secret', async (t) => {
  t.match(bannerOf({}), /limits +counted in the memory of this process\n/)
  t.match(bannerOf({}), 'http://127.0.0.1:8000/dev/account\n')
  t.notMatch(bannerOf(production), '/dev/')
  t.match(
    bannerOf(production),
    /limits +counted in the memory of this process: several instances need REDIS_URL/,
  )
  const shared = bannerOf({ ...production, REDIS_URL: 'redis://:hunter2@redis' })
  t.match(shared, /limits +counted in Redis, for all instances together\n/)
  const away = banner(
    loadConfig({ ...production, REDIS_URL: 'redis://redis' }, () => ''),
    'http://127.0.0.1:8000',
    { redisAway: true },
  )
  t.match(away, /limits +stricter ones of this process, until Redis answers\n/)
  const off = bannerOf({ ...production, RATE_LIMITS: 'off' })
  t.match(
    off,
    /limits +of accounts only, counted in the memory of this process: several instances need REDIS_URL/,
  )
  t.match(off, /RATE_LIMITS=off: the gateway must limit the requests of an address\n/)
  t.notMatch(shared, /hunter2|q6Yz/)
})

t.test('the banner warns when development mode is reachable from other machines', async (t) => {
  const warning = /WARNING: development mode listens on HOST=\S+, which other machines can reach/
  for (const HOST of ['0.0.0.0', '::', '192.0.2.1', 'dev.example.com', '::ffff:10.0.0.1']) {
    t.match(bannerOf({ HOST }), warning, HOST)
    t.match(bannerOf({ HOST, NODE_ENV: 'test' }), /WARNING: test mode/, HOST)
    t.notMatch(bannerOf({ ...production, HOST }), /WARNING/, HOST)
  }
  for (const HOST of ['127.0.0.1', '127.0.0.2', 'localhost', '::1'])
    t.notMatch(bannerOf({ HOST }), /WARNING/, HOST)
  t.notMatch(bannerOf({}), /WARNING/)
})
