import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OutsideFailure } from './outside-failure.ts'
import { checkOutsideUrl, type EgressRules } from './outside-rules.ts'

const RULES: EgressRules = { allowPrivate: false, allowedHosts: [], ports: [80, 443], bytesMax: 1, timeoutMs: 1 }

function refuses(url: string, message: RegExp, rules: Partial<EgressRules> = {}): void {
  assert.throws(
    () => checkOutsideUrl(url, { ...RULES, ...rules }),
    (error: unknown) => error instanceof OutsideFailure && error.reason === 'refused' && message.test(error.message),
    url,
  )
}

test('addresses inside are refused however they are written', () => {
  for (const host of [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '0177.0.0.1',
    '017700000001',
    '127.0.0.1.',
    '%31%32%37.0.0.1',
    '１２７.０.０.１',
    '10.0.0.1',
    '0xa.0x0.0x0.0x1',
    '169.254.169.254',
    '0xa9fea9fe',
    '0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[fe80::1]',
    '[fd00::1]',
  ]) {
    refuses(`http://${host}/`, /is not a public address/)
  }
})

test('what is no plain web address is refused', () => {
  refuses('ftp://example.com/', /http or https/)
  refuses('file:///etc/passwd', /http or https/)
  refuses('data:text/plain,x', /http or https/)
  refuses('nonsense', /no URL/)
  refuses('', /no URL/)
  refuses('http://[fe80::1%25eth0]/', /no URL/)
  refuses('http://256.256.256.256/', /no URL/)
  refuses(`http://example.com/${'x'.repeat(8_200)}`, /no URL/)
  refuses('http://user@example.com/', /credentials/)
  refuses('http://:secret@example.com/', /credentials/)
  refuses('http://example.com@127.0.0.1/', /credentials/)
})

test('ports are those that the operator allows', () => {
  refuses('http://example.com:22/', /Port 22/)
  refuses('https://example.com:80443/', /no URL/)
  assert.equal(checkOutsideUrl('https://example.com/a', RULES).port, '')
  assert.equal(checkOutsideUrl('https://example.com:80/', RULES).port, '80')
  assert.equal(checkOutsideUrl('http://example.com:8080/', { ...RULES, ports: 'all' }).port, '8080')
  refuses('https://example.com/', /Port 443/, { ports: [8443] })
})

test('hosts are those that the operator allows', () => {
  const rules = { ...RULES, allowedHosts: ['Images.example.com', '.cdn.example.com'] }
  for (const host of [
    'images.example.com',
    'IMAGES.EXAMPLE.COM',
    'images.example.com.',
    'a.cdn.example.com',
    'b.a.cdn.example.com',
  ])
    assert.ok(checkOutsideUrl(`https://${host}/`, rules), host)
  for (const host of ['example.com', 'cdn.example.com', 'evilcdn.example.com', 'images.example.com.evil.net'])
    refuses(`https://${host}/`, /not one of the hosts/, rules)
})

test('an operator may allow what is inside', () => {
  assert.equal(checkOutsideUrl('http://127.0.0.1/', { ...RULES, allowPrivate: true }).hostname, '127.0.0.1')
})
