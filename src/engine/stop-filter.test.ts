import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stopFilter } from './stop-filter.ts'

/** Feeds the text cut at every place, and one character at a time: what comes out must always be the same. */
function check(text: string, stops: string[], expected: string, met?: string): void {
  const cuts = [[...text]]
  for (let at = 0; at <= text.length; at++) cuts.push([text.slice(0, at), text.slice(at)])
  for (const pieces of cuts) {
    const filter = stopFilter(stops)
    let out = ''
    for (const piece of pieces) {
      out += filter.push(piece)
      assert.ok(expected.startsWith(out), `sent ${JSON.stringify(out)} of ${JSON.stringify(expected)}`)
    }
    if (filter.met === undefined) out += filter.flush()
    assert.equal(out, expected)
    assert.equal(filter.met, met)
  }
}

test('text passes unchanged when nothing stops it', () => {
  check('hello world', [], 'hello world')
  check('hello world', ['xyz'], 'hello world')
  check('hello world', [''], 'hello world')
})

test('text ends before the first stop sequence', () => {
  check('one two three', [' two'], 'one', ' two')
  check('aab', ['ab'], 'a', 'ab')
  check('abcabd', ['abd'], 'abc', 'abd')
  check('x END y STOP', ['STOP', 'END'], 'x ', 'END')
})

test('the start of a stop sequence at the end of the text is sent after all', () => {
  check('hello ST', ['STOP'], 'hello ST')
  check('aaaa', ['aaaab'], 'aaaa')
})

test('what was safe is sent at once', () => {
  const filter = stopFilter(['###'])
  assert.equal(filter.push('ab#'), 'ab')
  assert.equal(filter.push('c##'), '#c')
  assert.equal(filter.push('#d'), '')
  assert.equal(filter.push('e'), '')
})
