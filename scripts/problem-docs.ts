import type { Resource } from '../src/owned/resource.ts'
import { detailOf, type ProblemCode, problemCodes, statusOf, titleOf } from '../src/problem.ts'
import { resources } from '../src/resources/index.ts'

/** Explanation of a code in docs/errors.md; a code without one does not compile. */
interface Explanation {
  /** When the service answers it. */
  readonly when: string
  /** What a client does then. */
  readonly client: string
}

const fixTheRequest = 'Fix the request; the same one will be refused again.'

const ofTheService: Readonly<Record<ProblemCode, Explanation>> = {
  invalid_request: {
    when: 'The message is malformed or ambiguous: a body that is not strict JSON (RFC 8259, each name once, no `__proto__`), a path that cannot be decoded, two `Authorization` or `Host` headers, framing that two servers could read differently.',
    client: `${fixTheRequest} From a generated client it means a bug in the client or in a proxy.`,
  },
  validation_failed: {
    when: 'The request does not match the contract: a field is missing, unknown, of another type or out of bounds. `errors` has the path of each such field and the reason, never its value.',
    client: 'Show each message at its field. Nothing was done; the same request will be refused again.',
  },
  email_already_registered: {
    when: 'Signup with an address that has an account. Addresses are compared without regard to case. An invitation of such an address has the same code with status 409.',
    client: 'Offer the login instead, or ask for another address.',
  },
  invalid_token: {
    when: 'The mailed token is invalid: it was used, has expired, was replaced by a newer one, or was never issued. At `POST /api/auth/login/second-factor` the same of an `mfa_token`, which also ends with a change of the password and with the factor.',
    client: 'Offer to have another mail sent; at a login, ask for the password again.',
  },
  password_too_common: {
    when: 'A new password is easy to guess: a common one, a part of the address, the name of the service. Only where `PASSWORD_BLOCKLIST` is on.',
    client: 'Ask for another password. `errors` names the field.',
  },
  invalid_scope: {
    when: 'A token was asked for with a `scope` that is malformed, or that the entry of the client in `SERVICE_CLIENTS` does not have.',
    client: 'Ask for scopes that the client has, or leave `scope` out for all of them.',
  },
  unsupported_grant_type: {
    when: 'A token was asked for with another `grant_type` than `client_credentials`.',
    client: 'Fix the request. Users log in at `POST /api/auth/login`.',
  },
  unauthorized: {
    when: 'The access token is missing, invalid, expired or revoked. The response is the same for every reason.',
    client:
      'Refresh once, then send the request once more: nothing was done. If it is refused again, log in again.',
  },
  insufficient_user_authentication: {
    when: 'The token is good, but the route asks for a login that is more recent (`max_age` seconds in the challenge) or that had a second factor (`acr_values`), RFC 9470.',
    client:
      'Ask for the password, and the code if there is a second factor, at `POST /api/auth/reauthenticate`; then send the request once more with the new token. A refresh does not help.',
  },
  invalid_credentials: {
    when: 'A wrong password, or no such account: at login, and where the password is asked for again.',
    client:
      'Ask for the password again. The tokens, if any, are still valid: do not refresh, do not log out.',
  },
  invalid_client: {
    when: 'A route for service clients without the credentials of one: an unknown id, a wrong secret, a malformed header, the token of a user, or one of a client or with a scope that `SERVICE_CLIENTS` no longer has. One answer for every reason.',
    client:
      'Fetch a new token once, then send the request once more. If it is refused again, an operator has to look at the id and the secret.',
  },
  invalid_code: {
    when: 'The code of the second factor is wrong, was used before, or is not of this minute: at a login, where a session authenticates again, and where the factor is confirmed, removed or gets new recovery codes.',
    client:
      'Ask for the code again. The `mfa_token`, the tokens and the session are good. A code of the app is good once: after one that was accepted, wait for the next.',
  },
  invalid_grant: {
    when: 'The refresh token is invalid, its session has ended, or it was used before (reuse): then the session ends.',
    client: 'Forget both tokens and ask for the login. The same token will be refused again.',
  },
  account_disabled: {
    when: 'A login with the right password (or its `mfa_token`) of a user whom an operator has banned. A wrong password is 401 as ever.',
    client: 'Say that the account is disabled, and whom to ask. Trying again does not help.',
  },
  email_not_verified: {
    when: 'The password is correct, but the address has not been verified. Only where `REQUIRE_EMAIL_VERIFICATION` is on.',
    client: 'Ask the user to open the mail; offer `POST /api/auth/email/resend`.',
  },
  second_factor_required: {
    when: 'The password is right, and the account has a [second factor](second-factor.md). At a login and a repeated signup the problem has an `mfa_token`; where a session authenticates again, `code` is missing.',
    client:
      'Ask for a code (`methods` lists the kinds), and send it with the `mfa_token` to `POST /api/auth/login/second-factor`; at `POST /api/auth/reauthenticate`, send the same again with `code`.',
  },
  second_factor_enrolment_required: {
    when: 'Only where `REQUIRE_SECOND_FACTOR=all`: the token is good, but its session was opened without a second factor. Nothing was done.',
    client:
      'Read `GET /api/auth/mfa`. Without a factor, lead the user to [set one up](second-factor.md#set-one-up); with one, ask for password and code at `POST /api/auth/reauthenticate`. Then send the request once more with the new token.',
  },
  host_not_allowed: {
    when: 'Only in development mode: the `Host` is neither `localhost`, a name below it, a loopback address, `HOST`, nor the host of `PUBLIC_URL`. Otherwise a web page could reach this service under its own host name (DNS rebinding) and read its mailbox.',
    client: 'Use `localhost`, or set `PUBLIC_URL` to the URL by which the service is reached.',
  },
  insufficient_scope: {
    when: 'The token is good, but it does not have the scope that the challenge names; without one there, the route is closed to API keys.',
    client: 'Use a key or a client that has the scope. Neither a refresh nor a retry helps.',
  },
  session_required: {
    when: 'The token is good, but it belongs to no session of this service: a trusted issuer made it. Only an account of this service has API keys.',
    client: 'Log in to this service. A trusted issuer has keys of its own kind, if any.',
  },
  not_owner: {
    when: "The `user_id` in the path is not the token's, whether such a user exists or not.",
    client: 'Use the id of the user who is logged in. Neither a refresh nor a retry helps.',
  },
  not_found: {
    when: 'No route has this path.',
    client: 'Check the base URL and its prefix. A generated client never gets it from the right service.',
  },
  user_not_found: {
    when: 'The token is valid, but its account has just been deleted.',
    client: 'Forget both tokens and ask for the login.',
  },
  key_not_found: {
    when: "The API key to end is not one of the user's: it has ended or expired, or it is another user's.",
    client: 'Read the list of keys again. For one that was to end, this is as good as done.',
  },
  session_not_found: {
    when: "The session to end is not one of the user's open ones: it is over, or it is another user's.",
    client: 'Read the list of sessions again. For one that was to end, this is as good as done.',
  },
  method_not_allowed: {
    when: 'The path has other methods; `Allow` names them.',
    client: fixTheRequest,
  },
  request_timeout: {
    when: 'The request did not arrive completely in time. The connection ends.',
    client: 'Send it again on a new connection: nothing was done.',
  },
  idempotency_in_progress: {
    when: 'Another request with this [`Idempotency-Key`](idempotency.md) is in flight.',
    client:
      'Wait as many seconds as `Retry-After` says, then send the same request again: it gets the outcome of the first.',
  },
  key_limit_reached: {
    when: 'The user has 20 API keys that have not expired.',
    client: 'Show the list, and let the user end one that is not needed any more.',
  },
  second_factor_enrolled: {
    when: 'A second factor is to be set up or confirmed, and the account has one already. Nothing was changed.',
    client: 'Read `GET /api/auth/mfa` again. To change to another device, delete the factor first.',
  },
  second_factor_not_enrolled: {
    when: 'A second factor is to be confirmed, removed or given new recovery codes, and the account has none: it was not set up, or was removed.',
    client: 'Read `GET /api/auth/mfa` again, and offer to set one up.',
  },
  cursor_expired: {
    when: 'The reader of the events comes back with a cursor after which events have been deleted: they are kept for 7 days, and at most a million of them.',
    client:
      'Start over without a cursor, and compare what you keep of users with `GET /api/admin/users`: some events are lost.',
  },
  precondition_failed: {
    when: 'The version of the resource is not in `If-Match`, or is in `If-None-Match`. Nothing was changed.',
    client: 'Read it again, apply the change to the current state, and send it with the new `ETag`.',
  },
  payload_too_large: {
    when: 'The body has more than 16 KiB.',
    client: fixTheRequest,
  },
  uri_too_long: {
    when: 'The URL has more than 8,000 characters, or a part of its path more than 255.',
    client: fixTheRequest,
  },
  unsupported_media_type: {
    when: 'There is a body, and it is not `application/json` in UTF-8, or it is compressed.',
    client: fixTheRequest,
  },
  expectation_failed: {
    when: 'The request has an `Expect` header other than `100-continue`.',
    client: 'Leave the header out.',
  },
  idempotency_key_reused: {
    when: 'In the last 24 hours this [`Idempotency-Key`](idempotency.md) was used with another body. At signup also: with a password that is not the one of the account. Nothing was done.',
    client: 'Generate a new key for each operation, and reuse it only to retry that operation.',
  },
  rate_limited: {
    when: 'More requests from this address than its budget for a minute allows, see [limits](configuration.md#limits). Nothing was done.',
    client:
      'Wait as many seconds as `Retry-After` says, then send the same request again. The session is still valid.',
  },
  headers_too_large: {
    when: 'The headers have more than 16 KiB together. The connection ends.',
    client: fixTheRequest,
  },
  internal_error: {
    when: 'An unexpected error of the service. Its log has the cause under `request_id`.',
    client:
      'Show `request_id`, so that it can be reported. The request may or may not have taken effect: read before retrying.',
  },
  service_unavailable: {
    when: 'The service is temporarily unable to answer: the database is unreachable, the queue of password hashes is full, revocations are stale, the keys of a trusted issuer cannot be fetched, or (at /health/ready) it is shutting down.',
    client:
      'Wait as many seconds as `Retry-After` says, or a few, then retry; a refresh with the same token. The session is still valid. A change may have been made if the database failed during it: where a duplicate matters, read first, or send an [`Idempotency-Key`](idempotency.md) from the start.',
  },
  mail_unavailable: {
    when: 'A mail is needed and cannot be sent: no mail server is configured, or too many mails are pending.',
    client:
      'With `Retry-After`, wait as long and retry; without, the feature is not available on this installation.',
  },
}

function ofResource({ words, problems, limitSetBy }: Resource): [ProblemCode, Explanation][] {
  const most =
    limitSetBy === undefined ? `as many ${words.many} as one may have` : `\`${limitSetBy}\` ${words.many}`
  return [
    [
      problems.notFound,
      {
        when: `The user has no ${words.one} with this id.`,
        client: `Remove it from the display. ${words.aOne.replace(/^a/, 'A')} that was to be deleted is deleted.`,
      },
    ],
    [
      problems.limitReached,
      {
        when: `The user has ${most}. Nothing was created, and an \`Idempotency-Key\` is not used up.`,
        client: `Ask the user to delete ${words.many}. The same request is refused until then.`,
      },
    ],
  ]
}

export const explanations: Readonly<Record<ProblemCode, Explanation>> = {
  ...ofTheService,
  ...Object.fromEntries(resources.flatMap(ofResource)),
}

const introduction = `# Errors

<!-- Written by \`npm run errors\` from src/problem.ts, src/resources/ and scripts/problem-docs.ts. -->

Every error is \`application/problem+json\` (RFC 9457): \`type\`, \`title\`, \`status\`, \`detail\`, \`code\`, \`request_id\`, and \`errors\` on \`validation_failed\`. [Errors](architecture.md#errors) shows one. Programs switch over \`code\`, never over \`detail\`, and over the status only for an unknown code. The list is complete; a new code is a minor version, since clients must treat an unknown code like its status.

openapi.yaml lists the codes of each operation. Any request can also be refused before routing: \`invalid_request\`, \`not_found\`, \`method_not_allowed\`, \`request_timeout\`, \`uri_too_long\`, \`headers_too_large\`.
`

/** The text of docs/errors.md: the catalogue, by status, and what a client does about each code. */
export function errorsMarkdown(): string {
  const statuses = [...new Set(problemCodes.map(statusOf))].sort((a, b) => a - b)
  const chapters = statuses.map((status) => {
    const codes = problemCodes.filter((code) => statusOf(code) === status)
    return [`## ${status} ${titleOf(status)}`, ...codes.map(section)].join('\n\n')
  })
  return `${[introduction, ...chapters.map((chapter) => `${chapter}\n`)].join('\n')}`
}

function section(code: ProblemCode): string {
  const { when, client } = explanations[code]
  return [
    `### ${code}`,
    `> ${detailOf(code)}`,
    `**When:** ${when}`,
    `**What a client does:** ${client}`,
  ].join('\n\n')
}

if (import.meta.filename === process.argv[1]) process.stdout.write(errorsMarkdown())
