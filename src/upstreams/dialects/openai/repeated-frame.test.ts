import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RepeatedFrame } from './repeated-frame.ts'

const frame = (text: string, more = '') =>
  Buffer.from(
    `{"id":"c","choices":[{"index":0,"delta":{"content":${JSON.stringify(text)}${more}},"finish_reason":null}]}`,
  )

test('a frame like the learned one gives its text without parsing; any other difference does not', () => {
  const repeated = new RepeatedFrame()
  const match = (bytes: Buffer) => repeated.match(bytes, 0, bytes.length)
  assert.equal(match(frame('a')), null, 'nothing was learned')
  const first = frame('Hello')
  repeated.learn(first, 0, first.length, { type: 'delta', choice: 0, content: 'Hello', tokens: 1 })
  assert.equal(match(frame(' world')), ' world')
  assert.equal(match(frame('水 and café')), '水 and café')
  assert.equal(match(frame('')), null, 'an empty text says nothing')
  assert.equal(match(frame('a "quote"')), null, 'escapes are for the parser')
  assert.equal(match(frame('line\n')), null)
  assert.equal(match(frame('x', ',"role":"assistant"')), null)
  assert.equal(match(Buffer.from(frame('x').toString().replace('"index":0', '"index":1'))), null)
  assert.equal(match(Buffer.from(frame('x').toString().replace('null', '"stop"'))), null)
})

test('what is more than a text is not learned', () => {
  const check = (bytes: Buffer, delta: object) => {
    const repeated = new RepeatedFrame()
    repeated.learn(bytes, 0, bytes.length, { type: 'delta', choice: 0, tokens: 1, ...delta })
    assert.equal(repeated.match(bytes, 0, bytes.length), null)
  }
  check(frame('a'), { content: 'a', extra: { x: 1 } })
  check(frame('a'), { content: 'a', reasoning: 'b' })
  check(frame('a'), { content: 'b' })
  check(frame('a', ',"content":"a"'), { content: 'a' })
  check(frame('a\\u0041'), { content: 'aA' })
})
