import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { JsonObject } from '../../inference/request.ts'
import { chatToMessages } from './from-chat.ts'
import { messagesToChat } from './to-chat.ts'

/*
 * There and back again over generated conversations: nothing is lost that is not named in `dropped`. Both forms can say some things in
 * two ways (a string, or one plain text block; no schema, or one of any object); what is generated uses the one that is written here.
 */

const word = fc.stringMatching(/^[a-z]{1,8}$/)
const text = fc.oneof(word, fc.string({ minLength: 1, maxLength: 20 }))
const id = fc.stringMatching(/^call_[A-Za-z0-9]{4,8}$/)
const marker = fc.constantFrom(
  { type: 'ephemeral' },
  { type: 'ephemeral', ttl: '1h' },
  { type: 'ephemeral', ttl: '5m' },
)
const json = fc
  .dictionary(word, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 })
  .map(value => JSON.parse(JSON.stringify(value)))
const maybe = (key: string, value: fc.Arbitrary<unknown>) =>
  fc.option(value, { nil: undefined }).map(each => (each === undefined ? {} : { [key]: each }))
const joined = (...parts: fc.Arbitrary<object>[]): fc.Arbitrary<JsonObject> =>
  fc.tuple(...parts).map(each => Object.assign({}, ...each))
const base64 = fc.base64String({ minLength: 4, maxLength: 16 })
const effort = fc.constantFrom('low', 'medium', 'high', 'xhigh', 'max')
const signature = fc.stringMatching(/^[A-Za-z0-9+/]{8,24}=$/)

// The Messages API's form.

const textBlock = joined(fc.record({ type: fc.constant('text'), text }), maybe('cache_control', marker))
const imageBlock = joined(
  fc.record({
    type: fc.constant('image'),
    source: fc.oneof(
      fc.record({ type: fc.constant('base64'), media_type: fc.constantFrom('image/png', 'image/jpeg'), data: base64 }),
      fc.record({ type: fc.constant('url'), url: fc.webUrl() }),
    ),
  }),
  maybe('cache_control', marker),
)
const pdfBlock = joined(
  fc.record({
    type: fc.constant('document'),
    source: fc.record({ type: fc.constant('base64'), media_type: fc.constant('application/pdf'), data: base64 }),
  }),
  maybe('title', word),
  maybe('context', word),
  maybe('cache_control', marker),
)
const content = fc.array(fc.oneof(textBlock, imageBlock, pdfBlock), { minLength: 1, maxLength: 3 }).map(asString)
const thinkingBlock = fc.oneof(
  fc.record({ type: fc.constant('thinking'), thinking: text, signature: fc.oneof(signature, fc.constant('')) }),
  fc.record({ type: fc.constant('redacted_thinking'), data: base64 }),
)
const toolUse = (callId: string) =>
  joined(
    fc.record({ type: fc.constant('tool_use'), id: fc.constant(callId), name: word, input: json }),
    maybe('cache_control', marker),
    maybe('caller', fc.constant({ type: 'direct' })),
  )
const toolResult = (callId: string) =>
  joined(
    fc.record({ type: fc.constant('tool_result'), tool_use_id: fc.constant(callId) }),
    maybe('content', content),
    maybe('is_error', fc.constant(true)),
    maybe('cache_control', marker),
  )
/** A turn that thinks, speaks and calls in any order, and the answer to its calls. */
const exchange = fc
  .uniqueArray(id, { maxLength: 3 })
  .chain(ids =>
    fc
      .tuple(
        fc.array(fc.oneof(thinkingBlock, textBlock), { minLength: 1, maxLength: 4 }),
        fc.tuple(...ids.map(toolUse)),
        fc.tuple(...ids.map(toolResult)),
        fc.option(content),
      )
      .chain(([said, calls, results, more]) =>
        fc
          .shuffledSubarray([...said, ...calls], { minLength: said.length + calls.length })
          .map(blocks => [
            { role: 'assistant', content: asString(blocks) },
            ...(results.length > 0 || more !== null
              ? [{ role: 'user', content: asString([...results, ...asBlocks(more ?? [])]) }]
              : []),
          ]),
      ),
  )
const schema = fc.constant({ type: 'object', properties: { on: { type: 'boolean' } } })
const messagesTools = fc.array(
  joined(
    fc.record({ name: word, input_schema: schema }),
    maybe('description', text),
    maybe('strict', fc.boolean()),
    maybe('cache_control', marker),
  ),
  { minLength: 1, maxLength: 3 },
)
const thinkingFields = fc.oneof(
  fc.constant({}),
  fc.constant({ thinking: { type: 'disabled' } }),
  fc.constant({ thinking: { type: 'adaptive' } }),
  effort.map(each => ({ thinking: { type: 'adaptive' }, output_config: { effort: each } })),
  fc.integer({ min: 1024, max: 31_999 }).map(tokens => ({ thinking: { type: 'enabled', budget_tokens: tokens } })),
)
const messagesRequest = joined(
  fc.record({ model: word, max_tokens: fc.constant(32_000) }),
  maybe('system', fc.array(textBlock, { minLength: 1, maxLength: 3 }).map(asString)),
  fc.tuple(content, fc.array(exchange, { maxLength: 3 }), fc.boolean()).map(([first, rest, told]) => ({
    messages: [
      { role: 'user', content: first },
      ...(told ? [{ role: 'system', content: 'Be brief.' }] : []),
      ...rest.flat(),
    ],
  })),
  maybe('stream', fc.boolean()),
  maybe('temperature', fc.double({ min: 0, max: 1, noNaN: true })),
  maybe('top_p', fc.constantFrom(0.5, 1)),
  maybe('top_k', fc.integer({ min: 1, max: 100 })),
  maybe('stop_sequences', fc.array(word, { minLength: 1, maxLength: 3 })),
  maybe('metadata', fc.record({ user_id: word })),
  maybe('service_tier', fc.constantFrom('auto', 'standard_only')),
  maybe('cache_control', marker),
  fc.oneof(
    fc.constant({}),
    joined(
      messagesTools.map(tools => ({ tools })),
      maybe(
        'tool_choice',
        fc.constantFrom(
          ...[{ type: 'auto' }, { type: 'any' }, { type: 'none' }, { type: 'any', disable_parallel_tool_use: true }],
          { type: 'auto', disable_parallel_tool_use: true },
        ),
      ),
    ),
  ),
  thinkingFields,
)

/** As it comes off the wire: plain objects, no -0. */
function asParsed(request: JsonObject): JsonObject {
  return JSON.parse(JSON.stringify(request))
}

function asBlocks(said: unknown): JsonObject[] {
  return typeof said === 'string' ? [{ type: 'text', text: said }] : (said as JsonObject[])
}

function asString(blocks: readonly JsonObject[]): string | readonly JsonObject[] {
  const [only] = blocks
  return blocks.length === 1 && only?.type === 'text' && Object.keys(only).length === 2 ? (only.text as string) : blocks
}

test('Messages → chat → Messages loses nothing', () => {
  fc.assert(
    fc.property(messagesRequest.map(asParsed), request => {
      const there = messagesToChat(request)
      const back = chatToMessages(there.body, 1)
      assert.deepEqual([there.dropped, back.dropped], [[], []])
      assert.deepEqual(back.body, request)
    }),
    { numRuns: 500 },
  )
})

// The chat form.

const textPart = joined(fc.record({ type: fc.constant('text'), text }), maybe('cache_control', marker))
const imagePart = joined(
  fc.record({
    type: fc.constant('image_url'),
    image_url: fc.record({
      url: fc.oneof(
        fc.webUrl(),
        base64.map(data => `data:image/png;base64,${data}`),
      ),
    }),
  }),
  maybe('cache_control', marker),
)
const filePart = fc.record({
  type: fc.constant('file'),
  file: fc.record({ filename: word, file_data: base64.map(data => `data:application/pdf;base64,${data}`) }),
})
const chatContent = fc.array(fc.oneof(textPart, imagePart, filePart), { minLength: 1, maxLength: 3 }).map(asString)
const reasoning = fc.oneof(
  fc.constant({}),
  text.map(said => ({ reasoning_content: said })),
  fc.tuple(text, signature).map(([said, sign]) => ({
    reasoning_content: said,
    reasoning_details: [
      { type: 'reasoning.text', text: said, format: 'anthropic-claude-v1', index: 0, signature: sign },
    ],
  })),
)
const assistantMessage = (ids: readonly string[]) =>
  fc
    .tuple(
      fc.tuple(
        ...ids.map(each =>
          joined(
            fc.record({
              id: fc.constant(each),
              type: fc.constant('function'),
              function: fc.record({ name: word, arguments: json.map(value => JSON.stringify(value)) }),
            }),
            maybe('cache_control', marker),
          ),
        ),
      ),
      fc.array(textPart, { minLength: ids.length === 0 ? 1 : 0, maxLength: 2 }),
      reasoning,
    )
    .map(
      ([calls, parts, thoughts]): JsonObject => ({
        role: 'assistant',
        content: parts.length === 0 ? null : asString(parts),
        ...(calls.length > 0 && { tool_calls: calls }),
        ...thoughts,
      }),
    )
const toolMessage = (callId: string) =>
  joined(
    fc.record({ role: fc.constant('tool'), tool_call_id: fc.constant(callId), content: chatContent }),
    maybe('is_error', fc.constant(true)),
    maybe('cache_control', marker),
  )
const chatExchange = fc
  .uniqueArray(id, { maxLength: 3 })
  .chain(ids =>
    fc
      .tuple(assistantMessage(ids), fc.tuple(...ids.map(toolMessage)), fc.option(chatContent))
      .map(([said, results, more]) => [said, ...results, ...(more === null ? [] : [{ role: 'user', content: more }])]),
  )
const chatRequest = joined(
  fc
    .tuple(
      fc.option(fc.array(textPart, { minLength: 1, maxLength: 2 })),
      chatContent,
      fc.array(chatExchange, { maxLength: 3 }),
      fc.boolean(),
    )
    .map(([system, first, rest, told]) => ({
      model: 'm',
      messages: [
        ...(system === null ? [] : [{ role: 'system', content: asString(system) }]),
        { role: 'user', content: first },
        ...rest.flat(),
        ...(told ? [{ role: 'system', content: 'Be brief.' }] : []),
      ],
    })),
  fc.record({ max_tokens: fc.constant(32_000) }),
  maybe('stream', fc.boolean()),
  maybe('temperature', fc.double({ min: 0, max: 1, noNaN: true })),
  maybe('top_k', fc.integer({ min: 1, max: 100 })),
  maybe('stop', fc.array(word, { minLength: 1, maxLength: 3 })),
  maybe('user', word),
  maybe('service_tier', fc.constantFrom('auto', 'default')),
  fc.oneof(
    fc.constant({}),
    fc.constant({ reasoning_effort: 'none' }),
    fc.constant({ reasoning: { enabled: true } }),
    effort.map(each => ({ reasoning_effort: each })),
  ),
  maybe(
    'response_format',
    fc.constant({ type: 'json_schema', json_schema: { name: 'response', schema: { type: 'object' }, strict: true } }),
  ),
  fc.oneof(
    fc.constant({}),
    joined(
      fc
        .array(
          joined(
            fc.record({
              type: fc.constant('function'),
              function: joined(
                fc.record({ name: word, parameters: schema }),
                maybe('description', text),
                maybe('strict', fc.boolean()),
              ),
            }),
            maybe('cache_control', marker),
          ),
          { minLength: 1, maxLength: 3 },
        )
        .map(tools => ({ tools })),
      fc.constantFrom(...[{}, { tool_choice: 'auto' }, { tool_choice: 'required' }, { tool_choice: 'none' }], {
        tool_choice: 'required',
        parallel_tool_calls: false,
      }),
    ),
  ),
)

/** Keys in no order, and arguments as what they say. */
function read(body: JsonObject): unknown {
  return JSON.parse(JSON.stringify(body), (key, value) => (key === 'arguments' ? JSON.parse(value) : value))
}

test('chat → Messages → chat loses nothing', () => {
  fc.assert(
    fc.property(chatRequest, request => {
      const there = chatToMessages(request, 1)
      const back = messagesToChat(there.body)
      assert.deepEqual([there.dropped, back.dropped], [[], []])
      assert.deepEqual(read(back.body), read(request))
    }),
    { numRuns: 500 },
  )
})
