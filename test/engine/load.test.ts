import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GENERATING_FIXTURES } from '../../src/testing/fixtures.ts'
import { engineWith, run, text, words } from './support.ts'
import type { Ask } from './support-run.ts'

/** Requests of several kinds, whose answers at temperature 0 must not depend on who else is served. */
const KINDS: Ask[] = [
  { input: text(words(30)), outputTokensMax: 30 },
  { input: text(words(150, 1)), outputTokensMax: 12 },
  { input: text(`${words(150, 1)} ${words(9, 2)}`), outputTokensMax: 12 },
  { input: text(words(80, 3)), outputTokensMax: 8, n: 2 },
  { input: text(words(20, 4)), outputTokensMax: 10, sampling: { topLogprobs: 1 } },
]

for (const fixture of GENERATING_FIXTURES) {
  test(`${fixture}: answers under load, with clients leaving all the time, are those given alone`, async () => {
    const engine = await engineWith(fixture, { slots: 3 })
    const alone: (readonly string[])[] = []
    for (const [index, ask] of KINDS.entries()) alone[index] = (await run(engine, { ...ask, salt: 'alone' })).texts
    await Promise.all(
      Array.from({ length: 24 }, async (_, index) => {
        const kind = index % KINDS.length
        const salt = `org-${index % 2}`
        if (index % 3 === 0) {
          let deltas = 0
          const leaving = await run(engine, {
            input: text(words(70, index)),
            outputTokensMax: 100,
            sampling: { ignoreEos: true },
            salt,
            watch: (event, handle) => event.type === 'delta' && ++deltas === 1 + (index % 7) && handle.cancel(),
          })
          assert.equal(leaving.end.kind, 'cancelled')
          assert.ok((leaving.usage?.outputTokens ?? 0) >= leaving.deltaTokens)
          return
        }
        const answer = await run(engine, { ...(KINDS[kind] as Ask), salt })
        assert.equal(answer.end.kind, 'completed')
        assert.deepEqual(answer.texts, alone[kind], `request ${index}, kind ${kind}`)
        assert.equal(answer.usage?.outputTokens, answer.deltaTokens)
      }),
    )
    assert.deepEqual(engine.load(), { running: 0, queued: 0, queueDepthMax: 256, busy: false })
    assert.equal(engine.status().models[0]?.failuresInRow, 0)
  })
}
