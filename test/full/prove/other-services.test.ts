import t from 'tap'
import {
  type ExpressHole,
  expressDocument,
  expressNotes,
  expressTokens,
} from '../../support/express-notes.ts'
import { type FastApiHole, fastApiDocument, fastApiItems, fastApiToken } from '../../support/fastapi-items.ts'
import { holesOf, kindsOf, proved, served } from '../../support/prove.ts'

const notes = '/users/{userId}/notes'
const note = `${notes}/{noteId}`
const comments = `${note}/comments`
const comment = `${comments}/{commentId}`

const expressHoles: Record<ExpressHole, { holes: string[]; kinds: string[] }> = {
  none: { holes: [], kinds: [] },
  'item of anybody': {
    holes: [
      `POST ${comments}`,
      `GET ${note}`,
      `GET ${comments}`,
      `GET ${comment}`,
      `PATCH ${note}`,
      `DELETE ${comment}`,
      `DELETE ${note}`,
    ],
    kinds: ['foreign_item'],
  },
  'owner from the body': { holes: [`POST ${notes}`], kinds: ['owner_named in body'] },
  'list of everybody': {
    holes: [`GET ${notes}`],
    kinds: ['own_path'],
  },
  'parent only': { holes: [`GET ${comment}`, `DELETE ${comment}`], kinds: ['foreign_item_own_parent'] },
}

for (const [hole, expected] of Object.entries(expressHoles)) {
  t.test(`an Express service with opaque tokens and nested items; hole: ${hole}`, async (t) => {
    const { app, notes: kept, comments: keptComments } = expressNotes(hole as ExpressHole)
    const run = await proved(t, {
      document: expressDocument,
      url: await served(t, app),
      tokens: [expressTokens.alice, expressTokens.bob],
      args: ['--owner=alice', '--owner=bob'],
    })
    t.same(holesOf(run), expected.holes, run.out)
    t.same(kindsOf(run), expected.kinds)
    t.equal(run.code, expected.holes.length > 0 ? 1 : 0)
    t.equal(run.json.operations.length, 9)
    t.equal(run.json.counts['not_proven'], 0, run.out)
    t.equal(kept.size + keptComments.size, 0, 'all that was made is deleted')
  })
}

const items = '/users/{user_id}/items/'
const item = `${items}{item_id}`

const fastApiHoles: Record<FastApiHole, { holes: string[]; kinds: string[] }> = {
  none: { holes: [], kinds: [] },
  'DELETE unchecked': { holes: [`DELETE ${item}`], kinds: ['other_user'] },
  'token not verified': {
    holes: [`POST ${items}`, `GET ${items}`, `GET ${item}`, `PUT ${item}`, `DELETE ${item}`],
    kinds: ['forged_signature', 'forged_alg_none'],
  },
  'writes before it refuses': { holes: [`PUT ${item}`], kinds: ['other_user'] },
}

for (const [hole, expected] of Object.entries(fastApiHoles)) {
  t.test(`a service as FastAPI makes it, with numbers that count for each user; hole: ${hole}`, async (t) => {
    const { listener, items: kept } = fastApiItems(hole as FastApiHole)
    const run = await proved(t, {
      document: fastApiDocument,
      url: await served(t, listener),
      tokens: [fastApiToken(1), fastApiToken(2)],
    })
    t.same(holesOf(run), expected.holes, run.out)
    t.same(kindsOf(run), expected.kinds)
    t.equal(run.code, expected.holes.length > 0 ? 1 : 0)
    t.equal(run.json.counts['not_proven'], 0, run.out)
    t.same([...kept.values()].flat(), [], 'all that was made is deleted')
  })
}
