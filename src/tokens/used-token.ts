declare const used: unique symbol

/** A one-time token that was presented and can never be again. Only `useToken` of src/mail makes one. */
export interface UsedToken {
  readonly [used]: true
  readonly user_id: string
}
