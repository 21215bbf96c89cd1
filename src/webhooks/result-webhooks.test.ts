import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { OutsideFailure } from '../egress/outside-failure.ts'
import type { KeptDocument, KeptDocuments } from '../ledger/kept-document.ts'
import { type Order, ResultWebhooks, resultSecretOf } from './result-webhooks.ts'

const ORDER: Order = {
  requestId: 'req_1',
  orgId: 'org_1',
  keyId: 'key_1',
  url: 'https://example.com/hook',
  presented: 'sk-hr-secret',
  interrupted: '{"status":"interrupted"}',
  createdMs: 1_000,
}

/** Documents in memory, and a clock whose waits end when the test says so. */
function stage(answers: readonly (number | Error | Promise<number>)[], kept = new Map<string, KeptDocument>()) {
  const posts: { url: string; headers: Readonly<Record<string, string>>; body: string }[] = []
  const outcomes: string[] = []
  const waits: { ms: number; end: () => void }[] = []
  let nowMs = 1_000
  const documents: KeptDocuments = {
    put: async (...all) => all.forEach(each => void kept.set(each.id, each)),
    find: async (_kind, orgId, id) => {
      const found = kept.get(id)
      return found?.orgId === orgId ? found : null
    },
    remove: async (_kind, _orgId, id) => kept.delete(id),
    list: async (_selection, { limit, afterId }) => {
      const all = [...kept.values()]
      const from = afterId === undefined ? 0 : all.findIndex(each => each.id === afterId) + 1
      return all.slice(from, from + limit)
    },
    replace: () => assert.fail('not used'),
    countByState: () => assert.fail('not used'),
    sweep: () => assert.fail('not used'),
    clear: () => assert.fail('not used'),
  }
  const webhooks = new ResultWebhooks({
    kept: documents,
    outside: {
      check(url) {
        if (url.startsWith('http:')) throw new OutsideFailure('refused', 'example.com is not a public address.')
        return new URL(url)
      },
      async post(url, { headers, body }) {
        const answer = answers[posts.length] ?? 204
        posts.push({ url, headers, body })
        if (answer instanceof Error) throw answer
        return await answer
      },
    },
    clock: {
      nowMs: () => nowMs,
      monotonicMs: () => nowMs,
      after(ms, end) {
        const wait = { ms, end }
        waits.push(wait)
        return () => void waits.splice(waits.indexOf(wait), 1)
      },
    },
    chance: () => 0.5,
    onOutcome: (outcome, detail) => outcomes.push(`${outcome}: ${detail}`),
    onError: error => assert.fail(String(error)),
  })
  return {
    webhooks,
    kept,
    posts,
    outcomes,
    waits,
    /** Lets the next wait end, and what follows from it happen. */
    async wait() {
      const next = waits.shift()
      assert.ok(next !== undefined, 'nothing waits')
      nowMs += next.ms
      next.end()
      await settled()
    },
  }
}

/** Everything above works on promises alone. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

test('a result is sent once, signed with what the client can work out from its key', async () => {
  const { webhooks, kept, posts, outcomes } = stage([])
  await webhooks.expect(ORDER)
  kept.set('req_1', webhooks.document(ORDER, '{"status":"succeeded"}'))
  webhooks.deliver(ORDER)
  await settled()
  assert.equal(posts.length, 1)
  const [{ url, headers, body }] = posts as [(typeof posts)[0]]
  assert.deepEqual([url, body, headers['webhook-id']], [ORDER.url, '{"status":"succeeded"}', 'req_1'])
  // The specification's own verification bounds the age of a message, so its time is checked by itself.
  assert.equal(headers['webhook-timestamp'], '1')
  assert.equal(
    headers['webhook-signature'],
    new Webhook(resultSecretOf('sk-hr-secret')).sign('req_1', new Date(1_000), body),
  )
  assert.deepEqual(outcomes, ['delivered: result'])
  assert.equal(kept.size, 0)
})

test('what is kept has no key of the client in it', async () => {
  const { webhooks, kept } = stage([])
  await webhooks.expect(ORDER)
  assert.doesNotMatch(JSON.stringify([...kept.values()]), /sk-hr-secret/)
})

test('failed tries are repeated for a day, ever more rarely, and then no more', async () => {
  const { webhooks, kept, posts, outcomes, waits, wait } = stage(Array(100).fill(500))
  await webhooks.fail(ORDER, '{"status":"failed"}')
  await settled()
  let previousMs = 0
  let sumMs = 0
  while (waits.length > 0) {
    const { ms } = waits[0] as { ms: number }
    assert.ok(ms >= previousMs || sumMs + ms === 24 * 3_600_000, 'the last wait ends when the day does')
    previousMs = ms
    sumMs += ms
    await wait()
  }
  assert.equal(sumMs, 24 * 3_600_000)
  assert.ok(posts.length > 5 && posts.length < 30, `${posts.length} tries`)
  assert.equal(outcomes.at(-1), 'failed: status 500')
  assert.equal(kept.size, 0)
})

test('an endpoint that cannot be reached is tried again like one that refuses', async () => {
  const { webhooks, posts, outcomes, wait } = stage([new OutsideFailure('timeout', 'too slow'), 302])
  await webhooks.fail(ORDER, '{}')
  await settled()
  await wait()
  await wait()
  assert.equal(posts.length, 3)
  assert.deepEqual(outcomes, ['retried: too slow', 'retried: status 302', 'delivered: result'])
})

test('after a restart what is owed is sent, and what was interrupted is told', async () => {
  const before = stage([])
  for (let i = 0; i < 250; i++) {
    const order = { ...ORDER, requestId: `req_${i}` }
    await before.webhooks.expect(order)
    if (i % 2 === 0) before.kept.set(order.requestId, before.webhooks.document(order, `"${i}"`))
  }
  const { webhooks, posts, kept } = stage([], before.kept)
  await webhooks.resume()
  for (let i = 0; i < 250 && kept.size > 0; i++) await settled()
  assert.deepEqual(
    posts.map(({ body }) => body),
    Array.from({ length: 250 }, (_, i) => (i % 2 === 0 ? `"${i}"` : ORDER.interrupted)),
  )
  assert.equal(kept.size, 0)
})

test('of the many results that are owed few are in memory, and nobody waits for those of others', async () => {
  const before = stage([])
  for (let i = 0; i < 100; i++) {
    await before.webhooks.expect({ ...ORDER, requestId: `req_${i}`, orgId: i === 99 ? 'org_2' : 'org_1' })
  }
  // Those of the first never answer.
  const { webhooks, posts } = stage(Array(100).fill(new Promise(() => undefined)), before.kept)
  await webhooks.resume()
  for (let i = 0; i < 20; i++) await settled()
  const ids = posts.map(({ headers }) => headers['webhook-id'])
  assert.deepEqual(ids, [...Array.from({ length: 8 }, (_, i) => `req_${i}`), 'req_99'])
})

test('after closing nothing is sent, and what is owed stays', async () => {
  const { webhooks, kept, posts, waits } = stage([500])
  await webhooks.fail(ORDER, '{}')
  await settled()
  webhooks.close()
  assert.deepEqual([posts.length, waits.length, kept.size], [1, 0, 1])
  webhooks.deliver(ORDER)
  await settled()
  assert.equal(posts.length, 1)
})

test('a URL that may not be asked is refused by the name of its field', () => {
  const { webhooks } = stage([])
  webhooks.check('https://example.com/', 'webhook')
  assert.throws(() => webhooks.check('http://example.com/', 'webhook'), {
    code: 'invalid_value',
    param: 'webhook',
    message: "'webhook' cannot be used: example.com is not a public address.",
  })
})
