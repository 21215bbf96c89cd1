import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ApiError } from '../errors.ts'
import { JSON_DEPTH_MAX, parseJsonBody, stringEnd } from './json.ts'
import { jsonErrorPosition } from './json-error-position.ts'

test('objects are read, the last of two equal keys counts', () => {
  assert.deepEqual(parseJsonBody(Buffer.from('{"model":"a","x":[1,{"y":"é🙂"}],"model":"b"}')), {
    model: 'b',
    x: [1, { y: 'é🙂' }],
  })
  assert.deepEqual(parseJsonBody(new TextEncoder().encode(' {} ')), {})
})

test('what cannot be read says where and why, without quoting the body', () => {
  const check = (body: string | Buffer, message: RegExp) =>
    assert.throws(
      () => parseJsonBody(Buffer.from(body as string)),
      (error: unknown) => error instanceof ApiError && error.code === 'invalid_json' && message.test(error.message),
      `${body}`,
    )
  check('', /is empty/)
  check(Buffer.of(0x7b, 0xff, 0x7d), /not valid UTF-8/)
  check('[]', /not an object/)
  check('null', /not an object/)
  check('{"a":secret}', /position 5 \(line 1 column 6\)\.$/)
  check('{"a":1,\n "b" 2}', /position 13 \(line 2 column 6\)/)
  check('{"a":1,}', /position 7 /)
  check('{"a":tru}', /position 8 /)
  check('{"a":1', /ends too early, after 6 characters/)
  check('{"a":"', /ends too early/)
  check('{} {}', /position 3 /)
  check('{"a":1.}', /position 6 /)
  check('{"a":"\\x"}', /position 7 /)
  check(`{"a":${'['.repeat(JSON_DEPTH_MAX)}`, /deeper than 128 levels at byte 132/)
  check('['.repeat(1 << 20), /deeper than/)
})

test('brackets inside strings are text', () => {
  const text = JSON.stringify({ a: `\\"${'[{'.repeat(400)}\\`, b: '['.repeat(400), c: '"\\'.repeat(60) })
  assert.equal(JSON.stringify(parseJsonBody(Buffer.from(text))), text)
})

test('keys named __proto__ reach nothing', () => {
  for (const key of ['__proto__', '\\u005f_proto__', '__pr\\u006fto__']) {
    const body = parseJsonBody(Buffer.from(`{"x":[{"${key}":{"admin":true}}],"${key}":{"admin":true},"y":1}`))
    const copy = Object.assign({}, body, (body.x as object[])[0]) as Record<string, unknown>
    assert.equal(copy.admin, undefined, key)
    assert.equal(copy.y, 1)
  }
})

test('the end of any string is found', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', '"', '\\', 'é', 'xxxxxxxxxxxxxxxxxxxxxxxxx')), parts => {
      const json = Buffer.from(JSON.stringify(parts.join('')))
      assert.equal(stringEnd(json, 1), json.length - 1)
    }),
  )
})

test('the position agrees with JSON.parse: text before it could be completed, one character more could not', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(), fc.constantFrom('', '}', '"', ',', 'x', '1', '\\'), (value, at, noise) => {
      const good = JSON.stringify(value)
      const cut = at % (good.length + 1)
      const text = good.slice(0, cut) + noise + good.slice(cut + 1)
      let valid = true
      try {
        JSON.parse(text)
      } catch {
        valid = false
      }
      if (!valid) assert.ok(jsonErrorPosition(text) <= text.length)
      else assert.equal(jsonErrorPosition(text), text.length)
    }),
  )
})
