import { type EventType, isEventType } from '../events/event-types.ts'
import { isHttpUrl } from '../tokens/http-url.ts'
import { parseWebhookSecret } from '../webhooks/signature.ts'
import type { Variables } from './environment.ts'
import { list } from './urls.ts'

export interface WebhookConfig {
  readonly url: string
  /** Each signs. */
  readonly secrets: readonly string[]
  /** Undefined: all. */
  readonly types: readonly EventType[] | undefined
}

const secrets = ['WEBHOOK_SECRET', 'WEBHOOK_SECRET_PREVIOUS'] as const

/** What is wrong with the variables of the webhook: names and rules, no values. */
export function webhookFaults(variables: Variables): string[] {
  const { WEBHOOK_URL: url, WEBHOOK_SECRET: secret, WEBHOOK_EVENTS: events } = variables
  const faults: string[] = []
  if (url !== undefined && !isHttpUrl(url, { query: true }))
    faults.push('WEBHOOK_URL must be an http(s) URL without credentials or fragment')
  if (url !== undefined && secret === undefined) faults.push('WEBHOOK_SECRET must be set when WEBHOOK_URL is')
  for (const name of [...secrets, 'WEBHOOK_EVENTS'] as const)
    if (variables[name] !== undefined && url === undefined)
      faults.push(`WEBHOOK_URL must be set when ${name} is`)
  for (const name of secrets)
    if (variables[name] !== undefined && !parseWebhookSecret(variables[name]))
      faults.push(`${name} must be whsec_ and the base64 of 24 to 64 random bytes`)
  if (events !== undefined && (list(events).length === 0 || !list(events).every(isEventType)))
    faults.push(
      'WEBHOOK_EVENTS must be a comma-separated list of types of events, such as user.created,user.deleted',
    )
  return faults
}

/** The variables must have no faults. */
export function webhookConfig(variables: Variables): WebhookConfig | undefined {
  const { WEBHOOK_URL: url, WEBHOOK_EVENTS: events } = variables
  if (url === undefined) return undefined
  return {
    url,
    secrets: secrets.flatMap((name) => variables[name] ?? []),
    types: events === undefined ? undefined : list(events).filter(isEventType),
  }
}
