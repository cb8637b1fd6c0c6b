// Written by `npm run new:resource` from the files of this folder.
import type { Resource } from '../owned/resource.ts'
import tasks from './tasks.ts'

/** Every resource that users own. */
export const resources: readonly Resource[] = [tasks]
