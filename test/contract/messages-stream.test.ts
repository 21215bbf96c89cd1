import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { InferenceEvent } from '../../src/inference/event.ts'
import { USAGE_ABSENT, type Usage } from '../../src/inference/usage.ts'
import { MessageAnswer, MessageEvent } from '../../src/protocols/anthropic-messages/answer-schema.ts'
import { MessagesBufferedEncoder } from '../../src/protocols/anthropic-messages/buffered-encoder.ts'
import { MessagesStreamEncoder } from '../../src/protocols/anthropic-messages/stream-encoder.ts'
import type { AnswerEncoder } from '../../src/protocols/protocol.ts'
import { MessagesStreamDecoder } from '../../src/upstreams/dialects/anthropic/stream-decoder.ts'

/*
 * What is written for clients of the Messages API is read as from an upstream that speaks it: any answer comes through whole, however its
 * bytes are cut, and the one body says what the stream says.
 */

type Delta = Extract<InferenceEvent, { type: 'delta' }>
type Finish = Extract<InferenceEvent, { type: 'finish' }>

const HEAD = { id: 'msg_1', requestId: 'req_1', model: 'm', stopSequences: ['END'] }
const text = fc.string({ minLength: 1, maxLength: 12 })
const say = (fields: object): Delta => ({ type: 'delta', choice: 0, tokens: 1, ...fields })
const signature = fc.stringMatching(/^[A-Za-z0-9+/]{8,16}=$/)
/** A thought, which its maker may have signed, in one or several pieces. */
const thought = fc
  .tuple(fc.array(text, { minLength: 1, maxLength: 3 }), fc.option(signature))
  .map(([pieces, sign]) => [
    ...pieces.map(reasoning => say({ reasoning })),
    ...(sign === null
      ? []
      : [say({ tokens: 0, extra: { reasoning_details: [{ type: 'reasoning.text', signature: sign }] } })]),
  ])
const redacted = fc
  .base64String({ minLength: 4 })
  .map(data => [say({ tokens: 0, extra: { reasoning_details: [{ type: 'reasoning.encrypted', data }] } })])
const words = fc.array(text, { minLength: 1, maxLength: 3 }).map(pieces => pieces.map(content => say({ content })))
const input = fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), fc.oneof(text, fc.integer(), fc.boolean()), {
  minKeys: 1,
})
/** Pieces of the arguments of several calls; which comes when is left to chance, as an upstream may write them at once. */
const calls = fc.array(fc.tuple(input, fc.integer({ min: 1, max: 5 })), { minLength: 1, maxLength: 3 }).chain(all => {
  const pieces = all.flatMap(([value, size], index) => {
    const json = JSON.stringify(value)
    return Array.from({ length: Math.ceil(json.length / size) }, (_, i) => ({
      index,
      arguments: json.slice(i * size, (i + 1) * size),
    }))
  })
  return fc.infiniteStream(fc.nat()).map(chance => {
    const queues = Map.groupBy(pieces, piece => piece.index)
    const opened = all.map((_, index) =>
      say({ toolCalls: [{ index, id: `call_${index}`, name: `tool_${index}`, arguments: '' }] }),
    )
    const deltas: Delta[] = []
    while (queues.size > 0) {
      const [index, queue] = [...queues][(chance.next().value as number) % queues.size] as [number, typeof pieces]
      deltas.push(say({ toolCalls: [queue.shift()] }))
      if (queue.length === 0) queues.delete(index)
    }
    return [...opened, ...deltas]
  })
})
const finish: fc.Arbitrary<Finish> = fc.constantFrom<Finish>(
  { type: 'finish', choice: 0, reason: 'stop' },
  { type: 'finish', choice: 0, reason: 'stop', stopSequence: 'END' },
  { type: 'finish', choice: 0, reason: 'length' },
  { type: 'finish', choice: 0, reason: 'content_filter' },
)
const answer = fc
  .tuple(fc.array(fc.oneof(thought, redacted, words), { maxLength: 5 }), fc.option(calls), finish)
  .map(([blocks, called, end]) => ({
    deltas: [...blocks.flat(), ...(called ?? [])],
    finish: called === null ? end : ({ type: 'finish', choice: 0, reason: 'tool_calls' } satisfies Finish),
  }))
const usage: Usage = {
  ...USAGE_ABSENT,
  ...{ inputTokens: 100, inputSource: 'reported', cachedInputTokens: 60, cachedInputSource: 'reported' },
  ...{ cacheWriteTokens: 30, cacheWriteSource: 'reported', outputTokens: 9, outputSource: 'reported' },
  ...{ reasoningTokens: 4, reasoningSource: 'reported' },
}

function write(encoder: AnswerEncoder, deltas: readonly Delta[], end: Finish): Buffer {
  const parts = deltas.map(delta => encoder.delta(delta))
  parts.push(encoder.finish(end.choice, end.reason, undefined, end.stopSequence))
  assert.ok(encoder.finished)
  return Buffer.concat([...parts, encoder.complete({ usage, chargeNanodollars: 5n })])
}

function read(bytes: Buffer, cut: number): InferenceEvent[] {
  const events: InferenceEvent[] = []
  const decoder = new MessagesStreamDecoder()
  for (let at = 0; at < bytes.length; at += cut)
    assert.equal(
      decoder.push(bytes.subarray(at, at + cut), event => events.push(event)),
      null,
    )
  assert.equal(
    decoder.end(event => events.push(event)),
    null,
  )
  return events
}

/** What an answer says, whatever its pieces: blocks of thinking and text in order, then calls. */
function told(events: readonly InferenceEvent[]): object {
  const said: { kind: string; text: string; signature?: string }[] = []
  const called = new Map<number, { id?: string; name?: string; arguments: string }>()
  const last = (kind: string) => {
    const block = said.at(-1)
    if (block?.kind === kind && block.signature === undefined) return block
    const next: (typeof said)[0] = { kind, text: '' }
    said.push(next)
    return next
  }
  for (const event of events) {
    if (event.type !== 'delta') continue
    if (event.reasoning !== undefined) last('thinking').text += event.reasoning
    if (event.content !== undefined) last('text').text += event.content
    for (const detail of (event.extra?.reasoning_details ?? []) as {
      type: string
      data?: string
      signature?: string
    }[])
      if (detail.type === 'reasoning.encrypted') said.push({ kind: 'redacted', text: detail.data ?? '', signature: '' })
      else last('thinking').signature = detail.signature
    for (const { index, ...piece } of event.toolCalls ?? []) {
      const call = called.get(index)
      if (call === undefined) called.set(index, { ...piece })
      else call.arguments += piece.arguments
    }
  }
  return {
    // A thought without a signature gets one of ours.
    said: said.map(block =>
      block.kind === 'thinking' ? { ...block, signature: block.signature ?? 'hr1.msg_1' } : block,
    ),
    called: [...called].sort(([a], [b]) => a - b),
    // The words of the wire are not those of an event.
    finish: events.flatMap(event => (event.type === 'finish' ? { ...event, native: undefined } : [])),
  }
}

test('a streamed answer comes through', () => {
  fc.assert(
    fc.property(answer, fc.integer({ min: 1, max: 200 }), ({ deltas, finish: end }, cut) => {
      const events = read(write(new MessagesStreamEncoder(HEAD), deltas, end), cut)
      assert.deepEqual(told(events), told([...deltas, end]))
      const found = events.findLast(event => event.type === 'usage')
      assert.deepEqual(found?.type === 'usage' && found.usage, usage)
      assert.equal(events[0]?.type, 'started')
    }),
  )
})

test('blocks open once, one after another, and close once before the message ends', () => {
  fc.assert(
    fc.property(answer, ({ deltas, finish: end }) => {
      const frames = write(new MessagesStreamEncoder(HEAD), deltas, end)
        .toString()
        .split('\n\n')
        .filter(frame => frame !== '')
        .map(frame => {
          const [, type, data] = /^event: (\w+)\ndata: (.*)$/.exec(frame) ?? assert.fail(frame)
          const body = JSON.parse(data as string)
          assert.equal(body.type, type)
          return MessageEvent.parse(body) as { type: string; index: number }
        })
      assert.deepEqual(
        [frames[0]?.type, frames.at(-2)?.type, frames.at(-1)?.type],
        ['message_start', 'message_delta', 'message_stop'],
      )
      let next = 0
      const open = new Set<number>()
      for (const { type, index } of frames.slice(1, -2)) {
        if (type === 'content_block_start') {
          assert.equal(index, next++)
          open.add(index)
        } else if (type === 'content_block_stop') assert.ok(open.delete(index), `block ${index} was not open`)
        else assert.ok(type === 'content_block_delta' && open.has(index), `${type} of block ${index}`)
      }
      assert.equal(open.size, 0)
    }),
  )
})

test('one body says what the stream says', () => {
  fc.assert(
    fc.property(answer, ({ deltas, finish: end }) => {
      const message = MessageAnswer.parse(JSON.parse(write(new MessagesBufferedEncoder(HEAD), deltas, end).toString()))
      // A server that does not stream its blocks sends them whole, as clients are told them here.
      const frames = [
        { type: 'message_start', message: { ...message, content: [] } },
        ...message.content.flatMap((content_block: object, index: number) => [
          { type: 'content_block_start', index, content_block },
          { type: 'content_block_stop', index },
        ]),
        { type: 'message_delta', delta: message, usage: message.usage },
      ]
      const events = read(Buffer.from(frames.map(frame => `data: ${JSON.stringify(frame)}\n\n`).join('')), 1000)
      const parsed = (events: readonly InferenceEvent[]) =>
        JSON.parse(JSON.stringify(told(events)), (key, value) => (key === 'arguments' ? JSON.parse(value) : value))
      assert.deepEqual(parsed(events), parsed([...deltas, end]))
    }),
  )
})
