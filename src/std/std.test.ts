import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EgressRefused, isInsideAddress, outsideLookup, refuseInsideLiteral } from './egress.ts'
import { withoutEndSlashes } from './end-slashes.ts'
import { createIdMaker } from './request-id.ts'

test('inside addresses are known in every spelling', () => {
  for (const inside of [
    '127.0.0.1',
    '10.1.2.3',
    '172.31.0.1',
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '::1',
    '::',
    'fe80::1',
    'fd00::1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '0:0:0:0:0:ffff:127.0.0.1',
    '::127.0.0.1',
    '::7f00:1',
    '::ffff:0:127.0.0.1',
    '64:ff9b::10.0.0.1',
    '64:ff9b::a00:1',
    '64:ff9b:1::8.8.8.8',
    '2002:7f00:1::',
    '2002:c0a8:101::1',
    '2001:0:4136:e378:8000:63bf:3fff:fdd2',
    '2001:db8::1',
    '3fff:fff::1',
    'fec0::1',
    'fe80::1%eth0',
    'FE80::1%25',
    '::1%lo',
    'ff02::1',
    '100::1',
    '4000::1',
    '1::',
    '192.0.2.1',
    '198.51.100.7',
    '203.0.113.255',
    '192.88.99.1',
    '255.255.255.255',
    '224.0.0.1',
  ]) {
    assert.equal(isInsideAddress(inside), true, inside)
  }
  for (const outside of [
    '1.1.1.1',
    '172.32.0.1',
    '100.128.0.1',
    '2606:4700::1111',
    '::ffff:8.8.8.8',
    '64:ff9b::8.8.8.8',
    '2002:808:808::',
    '2001:4860:4860::8888',
    '3fff:1000::1',
    'example.com',
    '',
  ]) {
    assert.equal(isInsideAddress(outside), false, outside)
  }
  assert.throws(() => refuseInsideLiteral('[::1]'), EgressRefused)
  assert.throws(() => refuseInsideLiteral('127.0.0.1'), EgressRefused)
  refuseInsideLiteral('example.com')
})

test('a name that resolves inside is refused at the moment of connecting', async () => {
  for (const options of [{ all: true }, {}]) {
    const error = await new Promise(resolve => outsideLookup('localhost', options, resolve))
    assert.ok(error instanceof EgressRefused, String(error))
  }
})

test('ids carry their time, sort by it, and do not repeat', () => {
  let now = 1_700_000_000_000
  const newId = createIdMaker(() => now)
  const first = newId('req_')
  assert.match(first, /^req_[0-9a-z]{26}$/)
  const same = new Set(Array.from({ length: 5000 }, () => newId('req_')))
  assert.equal(same.size, 5000)
  now += 1
  assert.ok(newId('req_') > first)
})

test('slashes at the end are taken off, in a moment however many there are and whatever follows', () => {
  for (const [text, without] of [
    ['', ''],
    ['/', ''],
    ['/a//', '/a'],
    ['//a', '//a'],
  ] as const)
    assert.equal(withoutEndSlashes(text), without)
  const many = '/'.repeat(1_000_000)
  assert.equal(withoutEndSlashes(`${many}a`), `${many}a`)
  assert.equal(withoutEndSlashes(`a${many}`), 'a')
})
