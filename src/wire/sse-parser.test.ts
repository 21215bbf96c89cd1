import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SseFrameTooLarge, SseParser } from './sse-parser.ts'

interface Frame {
  readonly event: string
  readonly data: string
  readonly raw: string
}

function parse(chunks: readonly Uint8Array[], frameBytesMax = 1 << 20): Frame[] {
  const parser = new SseParser({ frameBytesMax })
  const kept: { event: string; data: Uint8Array; raw: Uint8Array }[] = []
  const drain = () => {
    while (parser.next()) {
      kept.push({
        event: parser.event,
        data: parser.dataBytes.subarray(parser.dataStart, parser.dataEnd),
        raw: parser.bytes.subarray(parser.frameStart, parser.frameEnd),
      })
    }
  }
  for (const chunk of chunks) {
    parser.push(chunk)
    drain()
  }
  parser.end()
  drain()
  // Decoded only now, so that a range that was overwritten later would show.
  return kept.map(frame => ({
    event: frame.event,
    data: Buffer.from(frame.data).toString(),
    raw: Buffer.from(frame.raw).toString(),
  }))
}

function check(stream: string, expected: readonly (readonly [event: string, data: string])[]): void {
  const bytes = Buffer.from(stream)
  const whole = parse([bytes])
  assert.deepEqual(
    whole.map(frame => [frame.event, frame.data]),
    expected,
    JSON.stringify(stream),
  )
  for (let cut = 1; cut < bytes.length; cut++) {
    assert.deepEqual(parse([bytes.subarray(0, cut), bytes.subarray(cut)]), whole, `cut at ${cut}`)
  }
  assert.deepEqual(parse([...bytes].map(byte => Buffer.of(byte))), whole, 'byte by byte')
}

test('frames, fields and line ends', () => {
  check('data: a\n\ndata: b\n\n', [
    ['', 'a'],
    ['', 'b'],
  ])
  check('data:a\r\n\r\ndata: b\r\n\r\n', [
    ['', 'a'],
    ['', 'b'],
  ])
  check('data: a\r\rdata: b\r\r', [
    ['', 'a'],
    ['', 'b'],
  ])
  check('event: error\ndata: {"x":1}\nid: 7\nretry: 9\n\n', [['error', '{"x":1}']])
  check('event:e\r\ndata:  two spaces\r\n\r\n', [['e', ' two spaces']])
  check('data: one\ndata: two\ndata\ndata:three\n\n', [['', 'one\ntwo\n\nthree']])
  check(': comment\n\n: more\ndata: a\n: inside\n\n\n\n', [['', 'a']])
  check('event: lonely\n\ndata: a\n\n', [['', 'a']])
  check('datax: no\nda: no\ndata: yes\n\n', [['', 'yes']])
  check('\ufeffdata: a\n\n', [['', 'a']])
  check('\ufeff\ufeffdata: hidden\n\ndata: a\n\n', [['', 'a']])
  check('data:\n\n', [['', '']])
  check('data: ü 你好 🙂\n\n', [['', 'ü 你好 🙂']])
  check('', [])
})

test('the end of the stream closes a frame of whole lines and drops a cut line', () => {
  check('data: a\n\ndata: [DONE]\n', [
    ['', 'a'],
    ['', '[DONE]'],
  ])
  check('data: a\r\n\r\ndata: [DONE]\r\n', [
    ['', 'a'],
    ['', '[DONE]'],
  ])
  check('data: a\n\ndata: {"cut', [['', 'a']])
})

test('a frame beyond the bound is refused, whole or not', () => {
  const fits = 'data: 12345678\n\n'
  assert.equal(parse([Buffer.from(fits.repeat(50))], fits.length).length, 50)
  assert.throws(() => parse([Buffer.from(fits)], fits.length - 1), SseFrameTooLarge)
  assert.throws(() => parse([Buffer.from('x'.repeat(40))], 32), SseFrameTooLarge)
  assert.throws(
    () =>
      parse(
        Array.from({ length: 40 }, () => Buffer.from('x')),
        32,
      ),
    SseFrameTooLarge,
  )
})

test('any cuts give the same frames', () => {
  const piece = fc.constantFrom(
    'data: ',
    'data:',
    'event: e',
    ': c',
    'x',
    '"',
    '{"a":1}',
    '\n',
    '\n\n',
    '\r',
    '\r\n',
    'é🙂',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), fc.array(fc.nat(200), { maxLength: 8 }), (pieces, cuts) => {
      const bytes = Buffer.from(pieces.join(''))
      const edges = [0, ...cuts.filter(cut => cut < bytes.length), bytes.length].sort((a, b) => a - b)
      const chunks = edges.slice(1).map((edge, i) => bytes.subarray(edges[i], edge))
      assert.deepEqual(parse(chunks), parse([bytes]))
    }),
  )
})
