import t from 'tap'
import { refusalOf } from '../../../src/limits/redis-refusal.ts'

const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' })
const failure = (code: string, message = 'failed') => Object.assign(new Error(message), { code })

t.test('an error that a retry cannot fix is a refusal that names REDIS_URL', async (t) => {
  const refused: [error: Error, words: RegExp][] = [
    [reply('NOAUTH Authentication required.'), /asks for a password/],
    [reply('WRONGPASS invalid username-password pair or user is disabled.'), /the user or the password/],
    [reply('ERR invalid password'), /the user or the password/],
    [reply("NOPERM this user has no permissions to run the 'eval' command"), /the user may not/],
    [reply("ERR The user executing the script can't run this command or subcommand"), /the user may not/],
    [reply('MOVED 3999 127.0.0.1:6381'), /Redis Cluster with several/],
    [reply('ERR DB index is out of range'), /no database with this number/],
    [reply("ERR unknown command 'EVALSHA'"), /no scripts/],
    [new Error('Unknown RESP type 72 "H". Please report this.'), /speaks no Redis/],
    [reply('ERR something new'), /Redis refuses what the limits ask of it/],
    [failure('SELF_SIGNED_CERT_IN_CHAIN'), /not signed by a known CA/],
    [failure('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), /not signed by a known CA/],
    [failure('ERR_TLS_CERT_ALTNAME_INVALID'), /for another name/],
    [failure('CERT_HAS_EXPIRED'), /not valid/],
    [failure('ERR_SSL_WRONG_VERSION_NUMBER'), /speaks no TLS/],
  ]
  for (const [error, words] of refused) {
    const refusal = refusalOf(error)
    t.match(refusal?.message, words, error.message)
    t.match(refusal?.message, /^REDIS_URL: [^\n]+$/)
    t.equal(refusalOf(refusal), refusal)
  }
})

t.test('a transient error is not a refusal', async (t) => {
  for (const error of [
    failure('ECONNREFUSED'),
    failure('ENOTFOUND'),
    failure('ETIMEDOUT'),
    failure('ECONNRESET'),
    new Error('Command timed out'),
    new Error('Connection is closed.'),
    new Error("Stream isn't writeable and enableOfflineQueue options is false"),
    reply('LOADING Redis is loading the dataset in memory'),
    reply("READONLY You can't write against a read only replica."),
    reply("OOM command not allowed when used memory > 'maxmemory'."),
    reply('ERR Error running script (call to f_1): @user_script:8: -OOM command not allowed'),
    reply('CLUSTERDOWN Hash slot not served'),
    reply('MISCONF Redis is configured to save RDB snapshots'),
    reply('ERR max number of clients reached'),
  ]) {
    t.equal(refusalOf(error), undefined, error.message)
  }
})
