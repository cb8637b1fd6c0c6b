/** Where a request comes from. */
export interface Caller {
  readonly ip: string
  /** As the owner sees it in the list of sessions. */
  readonly userAgent: string
  /** The session of the access token; empty without one. */
  readonly sid: string
  /** Aborts when the client disconnects before its answer. */
  readonly signal?: AbortSignal | undefined
}
