import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { createId, createSecret, hashSecret, hintOf, isWellFormed } from './api-key.ts'

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_ '
const arbitrarySecret = fc
  .uint8Array({ minLength: 20, maxLength: 20 })
  .map(bytes => createSecret(count => bytes.subarray(0, count)))

test('every created key is well formed and 39 characters long', () => {
  fc.assert(
    fc.property(arbitrarySecret, secret => {
      assert.match(secret, /^sk-hr-[0-9A-Za-z]{33}$/)
      assert.ok(isWellFormed(secret))
    }),
  )
})

test('any one changed character is caught', () => {
  const changes = fc.record({
    secret: arbitrarySecret,
    at: fc.nat({ max: 38 }),
    to: fc.constantFrom(...ALPHABET),
  })
  fc.assert(
    fc.property(changes, ({ secret, at, to }) => {
      fc.pre(secret[at] !== to)
      assert.equal(isWellFormed(secret.slice(0, at) + to + secret.slice(at + 1)), false)
    }),
    { numRuns: 2_000 },
  )
})

test('any two swapped neighbours are caught', () => {
  fc.assert(
    fc.property(arbitrarySecret, fc.integer({ min: 6, max: 37 }), (secret, at) => {
      const swapped = secret.slice(0, at) + secret[at + 1] + secret[at] + secret.slice(at + 2)
      fc.pre(swapped !== secret)
      assert.equal(isWellFormed(swapped), false)
    }),
  )
})

test('what is not a key at all is refused', () => {
  const secret = createSecret(randomBytes)
  for (const garbage of [
    '',
    'sk-hr-',
    'sk-or-v1-abc',
    secret.slice(0, -1),
    `${secret}0`,
    `${secret}\n`,
    secret.toUpperCase(),
  ]) {
    assert.equal(isWellFormed(garbage), false, JSON.stringify(garbage))
  }
})

test('the known key keeps its form: zeros make the first key of all', () => {
  const secret = createSecret(count => new Uint8Array(count))
  assert.equal(secret, `sk-hr-${'0'.repeat(27)}${secret.slice(-6)}`)
  assert.equal(hintOf(secret), secret.slice(-4))
})

test('the hash depends on the pepper and the key', () => {
  const pepper = Buffer.from('Jefe')
  // RFC 4231, test case 2.
  assert.equal(
    hashSecret(pepper, 'what do ya want for nothing?'),
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  )
  assert.notEqual(hashSecret(Buffer.from('other'), 'key'), hashSecret(pepper, 'key'))
})

test('ids say what they name', () => {
  assert.match(createId('org', randomBytes), /^org_[0-9A-Za-z]{14}$/)
  assert.equal(createId('key', count => new Uint8Array(count).fill(255)).length, 'key_'.length + 14)
})
