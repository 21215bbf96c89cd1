import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonical, type Form } from './round-trip/canonical.ts'
import { limitAs, RINGS, travel } from './round-trip/chain.ts'
import { chatRequest } from './round-trip/conversations.ts'
import { sessions } from './round-trip/sessions.ts'

/*
 * Whole conversations as programs send them, through all three chat APIs and back. Each translation is checked by itself (it loses what
 * it names, and nothing else), and the whole way by what comes back. What is lost is in a file, so that a new loss is seen; UPDATE=1
 * writes it.
 */

const DOCUMENT = join(import.meta.dirname, '../../docs/concepts/translation.md')
const LOSSES = join(import.meta.dirname, 'round-trip/losses.json')
const FORMS: readonly Form[] = ['chat', 'responses', 'messages']

const losses: Record<string, Record<string, readonly string[]>> = {}

for (const [name, { from, title, request }] of sessions) {
  test(`${name}: ${title}`, () => {
    const told: Record<string, readonly string[]> = {}
    for (const start of FORMS) {
      // A request of one API, as another has it, is where the other rings begin.
      const there = travel(
        from === start ? [from] : from === 'chat' || start === 'chat' ? [from, start] : [from, 'chat', start],
        request,
      )
      if (start !== from) told[`${from} → ${start}`] = there.losses
      for (const ring of RINGS[start]) {
        const { body, losses: lost } = travel(ring, there.body)
        told[ring.join(' → ')] = lost
        const back = canonical(start, limitAs(there.body, body, start))
        if (lost.length === 0) assert.deepEqual(back, canonical(start, there.body))
        // What came through goes through again.
        const again = travel(ring, body)
        assert.deepEqual(canonical(start, again.body), canonical(start, body))
      }
    }
    losses[name] = told
  })
}

test('any conversation goes through all APIs and loses what is named', () => {
  fc.assert(
    fc.property(chatRequest, fc.constantFrom(...FORMS), (request, start) => {
      const { body } = travel(start === 'chat' ? ['chat'] : ['chat', start], request)
      for (const ring of RINGS[start]) {
        const { body: back, losses: lost } = travel(ring, body)
        if (lost.length === 0)
          assert.deepEqual(canonical(start, limitAs(body, back, start)), canonical(start, body), ring.join(' → '))
      }
    }),
    { numRuns: 400 },
  )
})

test('what is lost is what is known to be lost', () => {
  const actual = `${JSON.stringify(losses, null, 2)}\n`
  if (process.env.UPDATE === '1') writeFileSync(LOSSES, actual)
  assert.deepEqual(losses, JSON.parse(readFileSync(LOSSES, 'utf8')), 'UPDATE=1 writes the list')
})

test('the document tells of every loss, and of no other', () => {
  const rows = readFileSync(DOCUMENT, 'utf8').matchAll(/^\| (\w+ → \w+) \| (.*?) \|/gm)
  const documented = [...rows].flatMap(([, way, names = '']) =>
    [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => `${way}: ${name}`),
  )
  const lost = Object.values(losses).flatMap(told => Object.values(told).flat())
  const kinds = new Set(lost.map(loss => loss.replaceAll(/\[\d+\]/g, '[]')))
  assert.deepEqual(documented.toSorted(), [...kinds].toSorted())
})
