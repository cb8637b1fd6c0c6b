import asyncHooks from 'node:async_hooks'
import { syncBuiltinESMExports } from 'node:module'

/*
 * Imported before tap, which follows each promise from its making to its collection by async hooks, so that an error
 * that nothing catches fails the test that caused it: more than a twentieth of the suite's processor time. Without the
 * hooks such an error ends the process, and so fails the run; a file on its own (`npm test -- FILE`) runs with them.
 */
asyncHooks.createHook = () => {
  const hook = { enable: () => hook, disable: () => hook }
  return hook
}
syncBuiltinESMExports()
