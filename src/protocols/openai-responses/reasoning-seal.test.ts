import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createReasoningSeal } from './reasoning-seal.ts'

const seal = createReasoningSeal(Buffer.alloc(32, 1))

test('what was sealed is opened, and equal texts have equal seals', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), text => {
      assert.equal(seal.open(seal.seal(text)), text)
      assert.equal(seal.seal(text), createReasoningSeal(Buffer.alloc(32, 1)).seal(text))
    }),
  )
})

test('what was altered, cut, or sealed with another secret is not opened', () => {
  const sealed = seal.seal('I think.')
  const bytes = Buffer.from(sealed.slice(4), 'base64url')
  for (let at = 0; at < bytes.length; at++) {
    const altered = Buffer.from(bytes)
    altered[at] = (altered[at] as number) ^ 1
    assert.equal(seal.open(`hr1.${altered.toString('base64url')}`), undefined)
    assert.equal(seal.open(`hr1.${bytes.subarray(0, at).toString('base64url')}`), undefined)
  }
  assert.equal(createReasoningSeal(Buffer.alloc(32, 2)).open(sealed), undefined)
})

test('what somebody else sealed is told apart', () => {
  assert.equal(seal.open('gAAAAABo'), null)
  assert.equal(seal.open(''), null)
})
