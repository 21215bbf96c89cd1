import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { HomeSecretError, keyPepper, operatorToken, secretsEqual } from './operator-token.ts'

function withHome(run: (home: string) => void) {
  const home = mkdtempSync(join(tmpdir(), 'headrace-home-'))
  try {
    run(home)
  } finally {
    rmSync(home, { recursive: true })
  }
}

test('both secrets are created once, private, and read again', () =>
  withHome(home => {
    const token = operatorToken(home, randomBytes)
    const pepper = keyPepper(home, randomBytes)
    assert.match(token, /^hr-op-[\w-]{43}$/)
    assert.equal(pepper.length, 32)
    assert.equal(operatorToken(home, randomBytes), token)
    assert.deepEqual(keyPepper(home, randomBytes), pepper)
    assert.deepEqual(readdirSync(home).sort(), ['operator-token', 'pepper'])
    assert.equal(statSync(join(home, 'operator-token')).mode & 0o777, 0o600)
    assert.equal(statSync(join(home, 'pepper')).mode & 0o777, 0o600)
  }))

test(
  'a secret that others may read is refused with the cure',
  { skip: process.platform === 'win32' && 'no mode bits' },
  () =>
    withHome(home => {
      operatorToken(home, randomBytes)
      const path = join(home, 'operator-token')
      chmodSync(path, 0o640)
      assert.throws(() => operatorToken(home, randomBytes), {
        name: 'HomeSecretError',
        message: `${path} may be read by others (mode 640). Run: chmod 600 ${path}`,
      })
      chmodSync(path, 0o600)
      operatorToken(home, randomBytes)
    }),
)

test('a file that holds something else is refused', () =>
  withHome(home => {
    for (const name of ['operator-token', 'pepper']) writeFileSync(join(home, name), 'oops\n', { mode: 0o600 })
    assert.throws(() => operatorToken(home, randomBytes), HomeSecretError)
    assert.throws(() => keyPepper(home, randomBytes), HomeSecretError)
  }))

test('secrets are equal or not, whatever their lengths', () => {
  assert.ok(secretsEqual('abc', 'abc'))
  for (const other of ['', 'abd', 'abcd', 'ab']) assert.equal(secretsEqual('abc', other), false)
})
