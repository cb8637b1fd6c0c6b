import type { Migration } from 'kysely/migration'
import * as accountsAndTasks from './0001_accounts_and_tasks.ts'
import * as revocationsAndEvents from './0002_revocations_and_events.ts'
import * as signingKeys from './0003_signing_keys.ts'
import * as foreignUsers from './0004_foreign_users.ts'
import * as mail from './0005_mail.ts'
import * as idempotencyKeys from './0006_idempotency_keys.ts'
import * as sessionsByIdleEnd from './0007_sessions_by_idle_end.ts'
import * as revocationFeed from './0008_revocation_feed.ts'
import * as accountClaims from './0009_account_claims.ts'
import * as knownDevices from './0010_known_devices.ts'
import * as taskCounts from './0011_task_counts.ts'
import * as sessionAuthentication from './0012_session_authentication.ts'
import * as secondFactors from './0013_second_factors.ts'
import * as apiKeys from './0014_api_keys.ts'
import * as admin from './0015_admin.ts'
import * as events from './0016_events.ts'
import * as webhooksAndSeals from './0017_webhooks_and_seals.ts'
import * as ownedCounts from './0019_owned_counts.ts'

/** Forward only, and never edited once released: a change is a new file. */
export const migrations: Record<string, Migration> = {
  '0001_accounts_and_tasks': accountsAndTasks,
  '0002_revocations_and_events': revocationsAndEvents,
  '0003_signing_keys': signingKeys,
  '0004_foreign_users': foreignUsers,
  '0005_mail': mail,
  '0006_idempotency_keys': idempotencyKeys,
  '0007_sessions_by_idle_end': sessionsByIdleEnd,
  '0008_revocation_feed': revocationFeed,
  '0009_account_claims': accountClaims,
  '0010_known_devices': knownDevices,
  '0011_task_counts': taskCounts,
  '0012_session_authentication': sessionAuthentication,
  '0013_second_factors': secondFactors,
  '0014_api_keys': apiKeys,
  '0015_admin': admin,
  '0016_events': events,
  '0017_webhooks_and_seals': webhooksAndSeals,
  '0019_owned_counts': ownedCounts,
}
