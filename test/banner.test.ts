import t from 'tap'
import { banner } from '../src/banner.ts'
import { loadConfig } from '../src/config.ts'

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

t.test('the banner says what counts the limits, and no secret', async (t) => {
  t.match(bannerOf({}), /limits +counted in the memory of this process\n/)
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
