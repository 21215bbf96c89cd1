import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InferenceEvent } from '../../inference/event.ts'
import type { JsonObject } from '../../inference/request.ts'
import { USAGE_ABSENT } from '../../inference/usage.ts'
import { customInput } from '../../translation/custom-function.ts'
import type { AnswerEncoder } from '../protocol.ts'
import { decodeNow } from '../testing.ts'
import { OPENAI_CHAT } from './codec.ts'

const GRAMMAR = { type: 'grammar', grammar: { syntax: 'lark', definition: 'start: "x"' } }
const TOOLS = [
  { type: 'custom', custom: { name: 'shell', description: 'Runs it.', format: GRAMMAR } },
  { type: 'function', function: { name: 'look', parameters: { type: 'object' } } },
]

function decode(fields: JsonObject) {
  return decodeNow(
    OPENAI_CHAT,
    { model: 'm', messages: [{ role: 'user', content: 'go' }], tools: TOOLS, ...fields },
    'req_A',
  )
}

function feed(encoder: AnswerEncoder, events: readonly InferenceEvent[]): string {
  const sent = events.map(event => {
    if (event.type === 'delta') return encoder.delta(event)
    return event.type === 'finish' ? encoder.finish(event.choice, event.reason) : new Uint8Array()
  })
  return Buffer.concat([...sent, encoder.complete({ usage: USAGE_ABSENT, chargeNanodollars: 0n })]).toString()
}

/** A call of each kind, in pieces that cut the JSON of the custom one. */
const CALLS: readonly InferenceEvent[] = [
  { type: 'delta', choice: 0, tokens: 1, toolCalls: [{ index: 0, id: 'c1', name: 'shell', arguments: '{"inp' }] },
  { type: 'delta', choice: 0, tokens: 1, toolCalls: [{ index: 0, arguments: 'ut":"ls \\"a\\""}' }] },
  { type: 'delta', choice: 0, tokens: 1, toolCalls: [{ index: 1, id: 'c2', name: 'look', arguments: '{}' }] },
  { type: 'finish', choice: 0, reason: 'tool_calls' },
]
const CUSTOM = { id: 'c1', type: 'custom', custom: { name: 'shell', input: 'ls "a"' } }
const FUNCTION = { id: 'c2', type: 'function', function: { name: 'look', arguments: '{}' } }

test('a custom tool runs as a function of one text, and its grammar is told', () => {
  const { input, body, sent } = decode({ tool_choice: { type: 'custom', custom: { name: 'shell' } } })
  assert.ok(input.kind === 'chat')
  const [shell, look] = input.tools
  assert.equal(shell?.function.name, 'shell')
  assert.match(String(shell?.function.description), /^Runs it\.\n\n.*lark grammar:\nstart: "x"$/s)
  assert.deepEqual(shell?.function.parameters?.required, ['input'])
  assert.deepEqual(look, TOOLS[1])
  assert.deepEqual(input.toolChoice, { type: 'function', function: { name: 'shell' } })
  assert.deepEqual(body.tools, input.tools)
  assert.deepEqual(sent?.tools, TOOLS)
})

test('earlier calls of custom tools become calls of functions', () => {
  const messages = [
    { role: 'assistant', content: null, tool_calls: [CUSTOM, FUNCTION] },
    { role: 'tool', tool_call_id: 'c1', content: 'a' },
  ]
  const { input } = decode({ messages })
  assert.ok(input.kind === 'chat')
  assert.deepEqual(input.messages[0]?.tool_calls, [
    { id: 'c1', type: 'function', function: { name: 'shell', arguments: '{"input":"ls \\"a\\""}' } },
    FUNCTION,
  ])
})

test('calls come back as what the client declared, whole', () => {
  const buffered = JSON.parse(feed(OPENAI_CHAT.encoder(decode({}), 'm', 1), CALLS))
  assert.deepEqual(buffered.choices[0].message.tool_calls, [CUSTOM, FUNCTION])
  const frames = feed(OPENAI_CHAT.encoder(decode({ stream: true }), 'm', 1), CALLS)
  const deltas = [...frames.matchAll(/^data: (\{.*)$/gm)].flatMap(([, text]) => {
    const [choice] = JSON.parse(text as string).choices
    return choice?.delta.tool_calls ?? []
  })
  assert.deepEqual(deltas, [
    { index: 1, ...FUNCTION },
    { index: 0, ...CUSTOM },
  ])
})

test('what a model says without the form is its input all the same', () => {
  assert.equal(customInput('{"input":"x"}'), 'x')
  assert.equal(customInput('{"input":"cut'), '{"input":"cut')
  assert.equal(customInput('{"other":1}'), '{"other":1}')
})
