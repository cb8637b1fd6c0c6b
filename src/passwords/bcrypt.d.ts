declare module 'bcrypt' {
  /** Takes `$2a$` and `$2b$` only; computed on libuv's threads. */
  export function compare(password: string, hash: string): Promise<boolean>
}
