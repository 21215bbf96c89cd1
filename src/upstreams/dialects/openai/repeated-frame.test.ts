import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RepeatedFrame } from './repeated-frame.ts'

const frame = (text: string, more = '') =>
  Buffer.from(
    `{"id":"c","choices":[{"index":0,"delta":{"content":${JSON.stringify(text)}${more}},"finish_reason":null}]}`,
  )

test('a frame like the learned one gives its text without parsing; any other difference does not', () => {
  const repeated = new RepeatedFrame()
  const match = (bytes: Buffer) => (repeated.take(bytes, 0, bytes.length) === 0 ? null : repeated.takeTexts())
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

test('the texts of many frames come together, however many there are', () => {
  const repeated = new RepeatedFrame()
  const first = frame('x')
  repeated.learn(first, 0, first.length, { type: 'delta', choice: 0, content: 'x', tokens: 1 })
  const texts = Array.from({ length: 300 }, (_, i) => `${i} 水`)
  for (const text of texts) {
    const bytes = frame(text)
    assert.equal(repeated.take(bytes, 0, bytes.length), Buffer.byteLength(text))
  }
  assert.equal(repeated.takeTexts(), texts.join(''))
  assert.equal(repeated.takeTexts(), '')
})

test('halves of a character are not joined', () => {
  const repeated = new RepeatedFrame()
  const first = frame('x')
  repeated.learn(first, 0, first.length, { type: 'delta', choice: 0, content: 'x', tokens: 1 })
  const [head = '', tail = ''] = frame('|').toString().split('|')
  const half = (bytes: number[]) => Buffer.concat([Buffer.from(head), Buffer.from(bytes), Buffer.from(tail)])
  for (const bytes of [half([0xe6, 0xb0]), half([0xb4])]) assert.equal(repeated.take(bytes, 0, bytes.length), 0)
})

test('what is more than a text is not learned', () => {
  const check = (bytes: Buffer, delta: object) => {
    const repeated = new RepeatedFrame()
    repeated.learn(bytes, 0, bytes.length, { type: 'delta', choice: 0, tokens: 1, ...delta })
    assert.equal(repeated.take(bytes, 0, bytes.length), 0)
  }
  check(frame('a'), { content: 'a', extra: { x: 1 } })
  check(frame('a'), { content: 'a', reasoning: 'b' })
  check(frame('a'), { content: 'b' })
  check(frame('a', ',"content":"a"'), { content: 'a' })
  check(frame('a\\u0041'), { content: 'aA' })
})
