import { randomBytes } from 'node:crypto'
import { type RawBuilder, sql } from 'kysely'
import { exportedTables } from '../../src/export/tables.ts'
import { resources } from '../../src/resources/index.ts'
import type { Rows } from './wall-stage.ts'

/** The arguments after the database, of an owner and rows: the owner's own, or those of another user. */
export type Arguments = (owner: string, rows: Rows) => unknown[]

const life = { seconds: 900, now: 0 }
const lifetimes = { idleDays: 1, absoluteDays: 2 }
const anyCondition = { ifMatch: undefined, ifNoneMatch: undefined }

/** Of functions that take more than an owner. Several arguments are several calls. */
export const calls: Record<string, Record<string, Arguments | Arguments[]>> = {
  'api-keys/repository.ts': {
    deleteOwnedKey: (owner, { api_keys }) => [owner, api_keys.id],
    insertOwnedKey: (owner) => [owner, { name: 'x', scopes: ['tasks:read'], days: 1, hash: randomBytes(32) }],
  },
  'export/repository.ts': {
    ownedPages: exportedTables(resources).map(
      (table): Arguments =>
        (owner) => [owner, table],
    ),
  },
  'idempotency/repository.ts': {
    findKept: (owner, { idempotency_keys: key }) => [
      owner,
      { operation: key.operation, keyMacs: [key.key_mac], bodyMacs: [key.body_mac] },
    ],
    keep: (owner) => [
      owner,
      { operation: 'x', keyMacs: [randomBytes(32)], bodyMacs: [randomBytes(32)] },
      null,
    ],
  },
  'mail/notices.ts': { insertNotice: (userId) => [{ kind: 'password_changed', userId, ip: '::1' }] },
  'one-time-tokens/repository.ts': {
    deleteAllTokens: (owner, { users }) => [owner, users.email],
    deleteTokens: (owner, { one_time_tokens }) => [owner, [one_time_tokens.purpose]],
    findLiveToken: (owner, { one_time_tokens }) => [owner, one_time_tokens.purpose],
    insertToken: (userId, { one_time_tokens: { purpose } }) => [
      { token_hash: randomBytes(32), salt: randomBytes(16), purpose },
      { userId, email: 'x@example.com', seconds: 60 },
    ],
  },
  'owned/insertion.ts': { lockOwner: (owner) => [owner] },
  'second-factor/repository.ts': {
    confirmOwnedFactor: (owner, { totp_factors }) => [owner, { id: totp_factors.id, step: 2 }],
    putOwnedSetup: (owner) => [owner, { secret: 'x', sealed_by: 'x' }],
    replaceOwnedRecoveryCodes: (owner) => [owner, [randomBytes(32)]],
    reseal: (owner, { totp_factors }) => [owner, totp_factors.secret, { secret: 'x', sealed_by: 'x' }],
    useMfaToken: (userId) => [{ hash: randomBytes(32), userId, expiresAt: 0 }],
    useRecoveryCode: (owner, { recovery_codes }) => [owner, recovery_codes.mac],
    useStep: (user_id, { totp_factors: { id } }) => [{ user_id, id }, 2],
  },
  'sessions/repository.ts': {
    insertSession: (owner) => [
      owner,
      { ...lifetimes, caller: { ip: '::1', userAgent: '' }, secondFactor: false },
    ],
    lockOwnedLiveSession: (owner, { sessions }) => [owner, sessions.id],
    reauthenticateOwnedSession: (owner, { sessions }) => [
      owner,
      sessions.id,
      { ...lifetimes, secondFactor: true },
    ],
  },
  'sessions/revocation-repository.ts': {
    endOwnedSessions: [
      (owner) => [life, owner, 'all'],
      (owner, { sessions }) => [life, owner, { only: sessions.id }],
      (owner, { sessions }) => [life, owner, { except: sessions.id }],
    ],
    endSurplusSessions: (owner) => [life, owner, 0],
    insertBan: (owner) => [owner, undefined],
    revokeOwnedTokens: (owner) => [owner, life, Math.floor(Date.now() / 1000) + 60],
  },
  'users/bans.ts': { setBan: (owner) => [owner, { until: null, reason: 'x' }] },
  'users/password-resets.ts': { noteReset: (owner) => [owner, '::1'] },
  'users/repository.ts': {
    renameOwnedUser: (owner) => [owner, 'x'],
    setOwnedPasswordHash: (owner) => [owner, 'x'],
    setOwnedVerifiedEmail: (owner) => [owner, `${randomBytes(6).toString('hex')}@example.com`],
  },
  'users/without-owner.ts': {
    deleteUnverifiedUser: (owner) => [owner],
    findAddressee: (owner) => [owner],
    findCredentialsById: (owner) => [owner],
    findUser: (owner) => [owner],
    replacePasswordHash: (owner, { users }) => [owner, { from: users.password_hash, to: 'x' }],
  },
}

const banOfEach = sql`insert into revocations (user_id, issued_until, ends_at, ban)
  select id, now() + interval '1 hour', now() + interval '1 hour', true from users`

/** What has to be so, for all users, before a function finds a row. */
export const before: Record<string, RawBuilder<unknown>> = {
  'idempotency/repository.ts hasMaxKeys': sql`insert into idempotency_keys (user_id, operation, key_mac, body_mac)
    select users.id, 'x', int4send(n), '' from users, generate_series(1, 10000) n`,
  'mail/notices.ts insertNotice': sql`update users set email_verified = true`,
  'sessions/revocation-repository.ts forgetBan': banOfEach,
  'sessions/revocation-repository.ts liftBan': banOfEach,
  'second-factor/repository.ts confirmOwnedFactor': sql`update totp_factors set confirmed_at = null`,
  'second-factor/repository.ts putOwnedSetup': sql`update totp_factors set confirmed_at = null`,
}

/** Of the functions that every resource has. */
export const resourceCalls: Record<string, (table: string) => Arguments | Arguments[]> = {
  listOwned: () => [
    (owner) => [owner, { limit: 10, after: 0, where: {} }],
    (owner) => [owner, { limit: 1, after: 0, where: {} }],
  ],
  findOwned: (table) => (owner, rows) => [owner, rows[table].id],
  updateOwned: (table) => (owner, rows) => [owner, rows[table].id, {}, anyCondition],
  deleteOwned: (table) => [
    (owner, rows) => [owner, rows[table].id, anyCondition],
    (owner, rows) => [owner, rows[table].id, { ifMatch: [rows[table].version], ifNoneMatch: [] }],
  ],
  deleteAllOwned: () => (owner) => [owner],
  insertOwned: (table) => (owner, rows) => [owner, rows[table]],
  insertOwnedBelow: (table) => (owner, rows) => [owner, rows[table], 10],
  countOwned: () => (owner) => [owner, 1_000],
  setOwnedCount: () => (owner) => [owner, 7],
}

/** Rooms whose statements rightly have no owner, and why. */
export const roomsWithoutOwner: Record<string, string> = {
  admin: 'an operator acts on any account',
  'event-seals': 'a seal is over the events of all',
  events: 'a service reads what happened to all',
  outbox: 'a worker takes whatever is due',
  webhooks: 'a service is sent what happened to all',
}

/** Functions whose statements rightly have no owner, and why; `*`: all of a file. */
export const withoutOwner: Record<string, Record<string, string>> = {
  'api-keys/without-owner.ts': {
    findKeyPrincipal: 'by the hash of the key that a request presents: only then its owner is known',
    deletePresentedKey: 'by the hash of the key that is to be revoked: who has it may end it',
    setLastUses: 'of the keys that this process verified, of any user',
  },
  'audit.ts': { insertEvents: 'inserts what happened, to whomever' },
  'clean-up/clean-up.ts': { '*': 'deletes expired rows of all' },
  'idempotency/repository.ts': {
    lockKey: 'takes an advisory lock and reads no table',
    tryLockKey: 'takes an advisory lock and reads no table',
  },
  'import/repository.ts': { '*': 'an operator imports accounts' },
  'keys/repository.ts': { '*': 'signing keys belong to the service' },
  'mail/queue.ts': { '*': 'the worker takes mails of any account, by their ids' },
  'mail/requests.ts': { insertRequest: 'by address: whether there is an account must not matter' },
  'mail/share.ts': { mayLeave: 'the quotas of a mailbox, whoever asked' },
  'one-time-tokens/repository.ts': {
    findToken: 'by the hash of a mailed token: only then its owner is known',
    useToken: 'by the hash of a mailed token, which it uses up',
    startTokenTime: 'by the hash of the token that the worker mails',
  },
  'second-factor/repository.ts': {
    isUsedMfaToken: 'by the hash of a token whose signature names its user',
    listSealedByAnother: 'all that an old SECRET_KEY has sealed',
  },
  'sessions/known-devices.ts': { knownDevice: 'by the id in a refresh token, before the login' },
  'sessions/repository.ts': {
    findLiveSession: 'by the id in a refresh token, which is verified by the row',
    rotateSession: 'the session of a verified refresh token',
  },
  'sessions/revocation-pages.ts': { readRevocations: 'every process knows what has ended, of any user' },
  'sessions/revocation-repository.ts': { endSession: 'the session of a verified refresh token' },
  'users/claims.ts': {
    contestUnverifiedAccount: 'by address, at a signup',
    deleteUnverified: 'deletes accounts that nobody has claimed',
  },
  'users/creation.ts': { '*': 'makes the account: before it there is no owner' },
  'users/without-owner.ts': {
    findAccountId: 'an operator names an account by address or id',
    findCredentials: 'by address, at a login',
    lockAccount: 'by address, at a login or a mail',
  },
}
