declare const used: unique symbol

/** A one-time token that was presented and is used up. Only `useToken` of src/one-time-tokens makes one. */
export interface UsedToken {
  readonly [used]: true
  readonly user_id: string
}
