declare module 'fs-native-extensions' {
  /** Takes an exclusive lock on the whole file; false when another process has it. The lock ends with the descriptor. */
  export function tryLock(fd: number): boolean
}
