interface Entry {
  readonly status: number
  readonly detail: string
}

/**
 * Every error that this service returns. Closed: a client can switch over `code`, the OpenAPI document lists the codes of
 * each operation, and no other error leaves the process.
 */
const catalogue = {
  invalid_request: { status: 400, detail: 'The request is malformed' },
  validation_failed: { status: 400, detail: 'The request does not match the contract' },
  email_already_registered: { status: 400, detail: 'Email already registered' },
  invalid_token: { status: 400, detail: 'The token is not valid' },
  password_too_common: { status: 400, detail: 'The password is too easy to guess' },
  invalid_scope: { status: 400, detail: 'The scope is not one that the client may ask for' },
  unsupported_grant_type: { status: 400, detail: 'The grant type is not one that the service has' },
  unauthorized: { status: 401, detail: 'Could not validate credentials' },
  insufficient_user_authentication: {
    status: 401,
    detail: 'The request needs a more recent or a stronger authentication',
  },
  invalid_credentials: { status: 401, detail: 'Incorrect email or password' },
  invalid_client: { status: 401, detail: 'The client could not be authenticated' },
  invalid_code: { status: 401, detail: 'Incorrect code' },
  invalid_grant: { status: 401, detail: 'The refresh token is not valid' },
  account_disabled: { status: 403, detail: 'The account has been disabled' },
  email_not_verified: { status: 403, detail: 'The email address has not been verified' },
  second_factor_required: { status: 403, detail: 'A code of the second factor is required' },
  second_factor_enrolment_required: {
    status: 403,
    detail: 'This service requires a second factor: set one up, then authenticate with it',
  },
  host_not_allowed: {
    status: 403,
    detail: 'This host is not allowed in development mode; set PUBLIC_URL to the URL that clients use',
  },
  insufficient_scope: { status: 403, detail: 'The token does not have the scope that the request needs' },
  session_required: { status: 403, detail: 'The request needs the token of a session' },
  not_owner: { status: 403, detail: 'Not authorized to access this resource' },
  not_found: { status: 404, detail: 'Not found' },
  user_not_found: { status: 404, detail: 'User not found' },
  session_not_found: { status: 404, detail: 'Session not found' },
  key_not_found: { status: 404, detail: 'API key not found' },
  method_not_allowed: { status: 405, detail: 'Method not allowed' },
  request_timeout: { status: 408, detail: 'The request took too long to arrive' },
  idempotency_in_progress: { status: 409, detail: 'A request with this Idempotency-Key is being processed' },
  key_limit_reached: { status: 409, detail: 'The user has as many API keys as one may have' },
  second_factor_enrolled: { status: 409, detail: 'The account has a second factor already' },
  second_factor_not_enrolled: { status: 409, detail: 'The account has no second factor' },
  cursor_expired: { status: 410, detail: 'Events after this cursor are no longer kept' },
  precondition_failed: { status: 412, detail: 'The resource has changed since it was read' },
  payload_too_large: { status: 413, detail: 'The request body is too large' },
  uri_too_long: { status: 414, detail: 'The request path is too long' },
  unsupported_media_type: { status: 415, detail: 'The request body must be application/json in UTF-8' },
  expectation_failed: { status: 417, detail: 'The Expect header asks for what the server does not do' },
  idempotency_key_reused: { status: 422, detail: 'This Idempotency-Key was used for another request' },
  rate_limited: { status: 429, detail: 'Too many requests' },
  headers_too_large: { status: 431, detail: 'The request headers are too large' },
  internal_error: { status: 500, detail: 'Internal server error' },
  service_unavailable: { status: 503, detail: 'The service is temporarily unavailable' },
  mail_unavailable: { status: 503, detail: 'Mail cannot be sent' },
} as const satisfies Record<string, Entry>

export type ProblemCode = keyof typeof catalogue

const entries: Record<ProblemCode, Entry> = { ...catalogue }

/** By status. Live: a resource that is loaded adds its own. */
export const problemCodes = Object.keys(catalogue) as ProblemCode[]

/**
 * Adds a problem to the catalogue while the modules load: the declaration of a resource (src/owned/) has two.
 * @returns the code, as one that can be thrown
 * @throws Error for a code that is taken
 */
export function addProblem(text: `${string}_${'not_found' | 'limit_reached'}`, entry: Entry): ProblemCode {
  const code = text as ProblemCode
  if (Object.hasOwn(entries, code)) throw new Error(`the problem code ${code} is taken`)
  const last = problemCodes.findLastIndex((known) => statusOf(known) === entry.status)
  problemCodes.splice(last + 1, 0, code)
  entries[code] = entry
  return code
}

export function statusOf(code: ProblemCode): number {
  return entries[code].status
}

export function detailOf(code: ProblemCode): string {
  return entries[code].detail
}

/** A field of the request and what is wrong with it; never its value. */
export interface FieldError {
  readonly path: string
  readonly message: string
}

/** Members of a problem beside the usual ones (RFC 9457 section 3.2). */
interface ProblemExtensions {
  /** Of `second_factor_required` at a login: what the code is presented with. A secret for five minutes. */
  readonly mfa_token?: string
  /** Of `second_factor_required`: the kinds of code that are accepted. */
  readonly methods?: readonly string[]
}

interface ProblemOptions {
  readonly errors?: readonly FieldError[]
  readonly extensions?: ProblemExtensions
  readonly headers?: Readonly<Record<string, string>>
  /** Where a route answers the code with another status than the catalogue's; it declares that in `config.conflicts`. */
  readonly status?: 409
  /** For the log; never sent. */
  readonly reason?: string
  readonly cause?: unknown
}

/** Headers of every response with that code. */
function headersOf(code: ProblemCode): Readonly<Record<string, string>> {
  // RFC 9110 section 15.5.2: a 401 has a challenge.
  if (code === 'invalid_client') return { 'www-authenticate': 'Basic realm="latchkey"' }
  if (statusOf(code) === 401) return { 'www-authenticate': 'Bearer' }
  return code === 'service_unavailable' ? { 'retry-after': '1' } : {}
}

/** An error of the catalogue, to be thrown. `message` is sent to the client, `reason` is logged. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly status: number
  readonly errors: readonly FieldError[] | undefined
  readonly extensions: ProblemExtensions
  readonly headers: Readonly<Record<string, string>>
  readonly reason: string | undefined

  constructor(code: ProblemCode, options: ProblemOptions = {}) {
    // Without a stack, which is never logged and takes longer than the rest of a refusal.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    super(detailOf(code), options.cause === undefined ? undefined : { cause: options.cause })
    Error.stackTraceLimit = stackTraceLimit
    this.name = 'Problem'
    this.code = code
    this.status = options.status ?? statusOf(code)
    this.errors = options.errors
    this.extensions = options.extensions ?? {}
    this.headers = { ...headersOf(code), ...options.headers }
    this.reason = options.reason
  }
}

/** The wire form of a problem, RFC 9457. */
export interface ProblemBody extends ProblemExtensions {
  type: 'about:blank'
  title: string
  status: number
  detail: string
  code: ProblemCode
  request_id: string
  errors?: readonly FieldError[]
}

const titles: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  417: 'Expectation Failed',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

/** The reason phrase of a status (RFC 9110 section 15). */
export function titleOf(status: number): string {
  return titles[status] ?? 'Error'
}

/**
 * The response body of a problem. `type` is `about:blank`, so `title` is the reason phrase (RFC 9457 section 4.2.1).
 */
export function toProblemBody(problem: Problem, requestId: string): ProblemBody {
  return {
    type: 'about:blank',
    title: titleOf(problem.status),
    status: problem.status,
    detail: problem.message,
    code: problem.code,
    request_id: requestId,
    ...(problem.errors ? { errors: problem.errors } : {}),
    ...problem.extensions,
  }
}
