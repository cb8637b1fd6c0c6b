import tasks from '../../../src/resources/tasks.ts'
import { testOwnedResource } from '../../support/owned-resource.ts'

testOwnedResource(tasks)
