import t from 'tap'
import { problemOf, twoUsers } from '../../helper.ts'

t.test('a task is created, listed, read, changed and deleted by its owner', async (t) => {
  const { alice } = await twoUsers(t)

  t.same((await alice.call('GET', alice.tasks)).json(), [], 'nobody has tasks at first')

  const created = await alice.call('POST', alice.tasks, { title: 'Buy milk' })
  t.equal(created.statusCode, 201)
  const task = created.json()
  t.match(task, { user_id: alice.id, title: 'Buy milk', description: null, completed: false })
  t.match(task.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  t.equal(created.headers.location, `${alice.tasks}/${task.id}`)

  const url = `${alice.tasks}/${task.id}`
  t.same((await alice.call('GET', alice.tasks)).json(), [task])
  t.same((await alice.call('GET', url)).json(), task)

  const put = await alice.call('PUT', url, { completed: true })
  t.match(put.json(), { title: 'Buy milk', completed: true }, 'only the fields sent change')
  const patch = await alice.call('PATCH', url, { title: 'Buy oat milk', description: 'Two' })
  t.match(patch.json(), { title: 'Buy oat milk', description: 'Two', completed: true })
  t.equal((await alice.call('PATCH', url, { description: null })).json().description, null)

  const deleted = await alice.call('DELETE', url)
  t.equal(deleted.statusCode, 204)
  t.equal(deleted.body, '')
  for (const method of ['GET', 'DELETE', 'PATCH']) {
    const gone = await alice.call(method, url, method === 'PATCH' ? { title: 'x' } : undefined)
    t.match(problemOf(gone), { status: 404, code: 'task_not_found', detail: 'Task not found' }, method)
  }
})
