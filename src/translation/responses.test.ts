import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { JsonObject } from '../inference/request.ts'
import { customInput } from './custom-function.ts'
import { addDetails, packReasoning, unpackReasoning } from './reasoning-details.ts'
import { chatToResponses, responsesToChat } from './responses.ts'

const toChat = (body: JsonObject) => responsesToChat(body).body
const messagesOf = (input: unknown, more: JsonObject = {}) => toChat({ model: 'm', input, ...more }).messages
const itemsOf = (messages: readonly JsonObject[]) => chatToResponses({ model: 'm', messages }).body.input

/* Conversations as clients of chat send them, in the form that this translation gives back. */

const text = fc.string({ minLength: 1, maxLength: 12 })
const mark = fc.option(fc.constant({ cache_control: { type: 'ephemeral' } }), { nil: {} })
const part = fc.oneof(
  fc.record({ type: fc.constant('text'), text }),
  fc.record({
    type: fc.constant('image_url'),
    image_url: fc.record({ url: fc.webUrl(), detail: fc.constantFrom('low', 'high') }, { requiredKeys: ['url'] }),
  }),
  fc.record({ type: fc.constant('input_audio'), input_audio: fc.record({ data: text, format: fc.constant('wav') }) }),
  fc.record({ type: fc.constant('file'), file: fc.record({ file_data: text, filename: text }) }),
)
const marked = <Value extends object>(value: fc.Arbitrary<Value>) =>
  fc.tuple(value, mark).map(([fields, extra]) => ({ ...fields, ...extra }))
const parts = fc.array(marked(part), { minLength: 2, maxLength: 3 })
const content = fc.oneof(text, parts)
const reasoning = fc.oneof(
  fc.constant({}),
  text.map(thought => ({ reasoning_content: thought })),
  fc.tuple(text, text, text).map(([thought, data, id]) => ({
    reasoning_content: thought,
    reasoning_details: [
      { type: 'reasoning.text', text: thought, id },
      { type: 'reasoning.encrypted', data, id },
    ],
  })),
)
const plain = fc
  .tuple(marked(fc.record({ role: fc.constantFrom('system', 'developer', 'user'), content })), fc.constant(null))
  .map(([message]) => [message as JsonObject])
const said = fc
  .tuple(
    fc.oneof(text, fc.array(fc.record({ type: fc.constant('text'), text }), { minLength: 2, maxLength: 3 })),
    reasoning,
    mark,
  )
  .map(([answer, thought, extra]) => [{ role: 'assistant', content: answer, ...thought, ...extra } as JsonObject])
const called = fc
  .tuple(fc.option(text), reasoning, fc.array(fc.tuple(fc.uuid(), text, content), { minLength: 1, maxLength: 3 }))
  .map(([answer, thought, calls]) => [
    {
      role: 'assistant',
      content: answer,
      ...thought,
      tool_calls: calls.map(([id, name]) => ({ id, type: 'function', function: { name, arguments: '{"a":1}' } })),
    } as JsonObject,
    ...calls.map(([id, , output]) => ({ role: 'tool', tool_call_id: id, content: output }) as JsonObject),
  ])
// An answer of the assistant is followed by somebody else's words, as in every conversation.
const turns = fc
  .array(
    fc.oneof(
      plain,
      called,
      fc.tuple(said, plain).map(([answer, next]) => [...answer, ...next]),
    ),
    {
      minLength: 1,
      maxLength: 6,
    },
  )
  .map(groups => groups.flat())
const tools = fc.uniqueArray(
  marked(
    fc.record({
      type: fc.constant('function'),
      function: fc.record(
        {
          name: fc.stringMatching(/^[a-z]{1,8}$/),
          description: text,
          parameters: fc.constant({ type: 'object' }),
          strict: fc.constant(true),
        },
        { requiredKeys: ['name'] },
      ),
    }),
  ),
  { selector: tool => tool.function.name, minLength: 1, maxLength: 4 },
)
const chat: fc.Arbitrary<JsonObject> = fc
  .record(
    {
      model: fc.constant('m'),
      messages: turns,
      tools,
      tool_choice: fc.constantFrom(
        'none',
        'auto',
        { type: 'function', function: { name: 'f' } },
        {
          type: 'allowed_tools',
          allowed_tools: { mode: 'auto', tools: [{ type: 'function', function: { name: 'f' } }] },
        },
      ),
      parallel_tool_calls: fc.boolean(),
      max_tokens: fc.nat(),
      temperature: fc.double({ min: 0, max: 2, noNaN: true }),
      reasoning_effort: fc.constantFrom('none', 'high'),
      verbosity: fc.constantFrom('low', 'high'),
      response_format: fc.constantFrom(
        { type: 'json_object' },
        { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'object' }, strict: true } },
      ),
      metadata: fc.dictionary(text, text),
      prompt_cache_key: text,
      store: fc.constant(true),
      top_k: fc.nat(),
      stream: fc.boolean(),
    },
    { requiredKeys: ['model', 'messages'] },
  )
  .map(body => JSON.parse(JSON.stringify(body)))

test('a chat comes back from Responses as it went there, and nothing was dropped', () => {
  fc.assert(
    fc.property(chat, body => {
      const there = chatToResponses(body)
      const back = responsesToChat(there.body)
      assert.deepEqual({ dropped: there.dropped, body: back.body }, { dropped: [], body })
      assert.deepEqual(back.dropped, [])
    }),
    { numRuns: 500 },
  )
})

test('a Responses request that has been through chat once stays what it is', () => {
  fc.assert(
    fc.property(chat, fc.option(text, { nil: undefined }), (body, instructions) => {
      const request = { ...chatToResponses(body).body, ...(instructions !== undefined && { instructions }) }
      const once = chatToResponses(toChat(request)).body
      assert.deepEqual(chatToResponses(toChat(once)).body, once)
    }),
  )
})

test('neither direction changes what it is given', () => {
  fc.assert(
    fc.property(chat, body => {
      const before = structuredClone(body)
      const there = chatToResponses(body).body
      const between = structuredClone(there)
      responsesToChat(there)
      assert.deepEqual([body, there], [before, between])
    }),
    { numRuns: 50 },
  )
})

test('text stands for one message of the user, instructions for one of the system', () => {
  assert.deepEqual(messagesOf('Hello', { instructions: 'Be brief.' }), [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Hello' },
  ])
})

test('a message needs no type, and loses the ids of its item', () => {
  assert.deepEqual(
    messagesOf([
      { role: 'user', content: [{ type: 'input_text', text: 'a' }] },
      { type: 'message', id: 'msg_1', status: 'completed', role: 'assistant', content: [outputText('b')] },
    ]),
    [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
    ],
  )
})

const outputText = (words: string) => ({ type: 'output_text', text: words, annotations: [], logprobs: [] })
const callItem = (id: string) => ({ type: 'function_call', call_id: id, name: 'f', arguments: '{}' })
const outputItem = (id: string) => ({ type: 'function_call_output', call_id: id, output: id })
const chatCall = (id: string) => ({ id, type: 'function', function: { name: 'f', arguments: '{}' } })
const chatOutput = (id: string) => ({ role: 'tool', tool_call_id: id, content: id })
const thought = (words: string) => ({ type: 'reasoning', id: 'rs', summary: [{ type: 'summary_text', text: words }] })

test('calls are one message with their reasoning, and their results follow it', () => {
  assert.deepEqual(
    messagesOf([
      thought('one'),
      { type: 'message', role: 'assistant', content: [outputText('I look.')] },
      callItem('a'),
      thought('two'),
      callItem('b'),
      outputItem('a'),
      outputItem('b'),
      thought('three'),
      callItem('c'),
      outputItem('c'),
    ]),
    [
      {
        ...{ role: 'assistant', content: 'I look.', reasoning_content: 'one\n\ntwo' },
        tool_calls: [chatCall('a'), chatCall('b')],
        reasoning_details: ['one', 'two'].map(summary => ({ type: 'reasoning.summary', summary, id: 'rs' })),
        block_order: ['thinking', 'text', 'tool_use', 'thinking', 'tool_use'],
      },
      ...[chatOutput('a'), chatOutput('b')],
      { role: 'assistant', content: null, reasoning_content: 'three', tool_calls: [chatCall('c')] },
      chatOutput('c'),
    ],
  )
})

test('a turn keeps the order of what it thinks, says and calls', () => {
  const reasoning = (words: string) => ({
    ...{ type: 'reasoning', id: words, summary: [] },
    content: [{ type: 'reasoning_text', text: words }],
  })
  const message = (words: string) => ({
    ...{ type: 'message', role: 'assistant' },
    content: [{ type: 'output_text', annotations: [], text: words }],
  })
  const items = [reasoning('one'), callItem('a'), message('Now b.'), reasoning('two'), callItem('b'), message('Done?')]
  const results = [outputItem('a'), outputItem('b')]
  const messages = messagesOf([...items, ...results]) as JsonObject[]
  assert.equal(messages.length, 3)
  assert.deepEqual(itemsOf(messages), [...items, ...results])
})

test('signatures go over beside the item, and a text that no detail repeats is its content', () => {
  const signed = { type: 'reasoning.text', text: 'Hm', signature: 's', format: 'f', index: 0 }
  const sealed = { type: 'reasoning.encrypted', data: 'd', format: 'f', index: 0 }
  for (const details of [[signed], [sealed], [signed, sealed]]) {
    const message = { role: 'assistant', content: 'a', reasoning_content: 'Hm', reasoning_details: details }
    const { body, dropped } = chatToResponses({ model: 'm', messages: [message] })
    assert.deepEqual(dropped, [])
    assert.deepEqual(messagesOf(body.input), [message])
  }
})

test('what a Responses request asks and chat cannot say is named', () => {
  const { dropped } = responsesToChat({
    ...{ model: 'm', input: 'Hi', max_tool_calls: 3, text: { verbosity: 'low', other: 1 } },
    reasoning: { effort: 'low', summary: 'auto', context: 'all' },
  })
  assert.deepEqual(dropped, ['max_tool_calls', 'reasoning.context', 'text.other'])
})

test('two answers after each other stay two', () => {
  const answer = (words: string) => ({ type: 'message', role: 'assistant', content: [outputText(words)] })
  assert.deepEqual(messagesOf([answer('a'), answer('b'), thought('t')]), [
    { role: 'assistant', content: 'a' },
    { role: 'assistant', content: 'b' },
    { role: 'assistant', content: '', reasoning_content: 't' },
  ])
})

test('a refusal is not text', () => {
  assert.deepEqual(
    messagesOf([{ type: 'message', role: 'assistant', content: [{ type: 'refusal', refusal: 'No.' }] }]),
    [{ role: 'assistant', content: null, refusal: 'No.' }],
  )
  assert.deepEqual(itemsOf([{ role: 'assistant', content: null, refusal: 'No.' }]), [
    { type: 'message', role: 'assistant', content: [{ type: 'refusal', refusal: 'No.' }] },
  ])
})

test('sealed reasoning: ours is opened, of others it is passed on, ours that cannot be opened is dropped', () => {
  const sealed = { type: 'reasoning', id: 'rs', summary: [], encrypted_content: 'x' }
  const ask = (open: () => string | null | undefined) => responsesToChat({ model: 'm', input: [sealed] }, open)
  assert.deepEqual(ask(() => 'opened').body.messages, [{ role: 'assistant', content: '', reasoning_content: 'opened' }])
  assert.deepEqual(ask(() => null).body.messages, [
    { role: 'assistant', content: '', reasoning_details: [{ type: 'reasoning.encrypted', data: 'x', id: 'rs' }] },
  ])
  assert.deepEqual(ask(() => undefined).dropped, ['input[0] (reasoning)'])
})

test('pieces of details are joined by their index', () => {
  const details: JsonObject[] = []
  addDetails(details, [{ type: 'reasoning.text', index: 0, text: 'a' }])
  addDetails(details, [
    { type: 'reasoning.text', index: 0, text: 'b', signature: 's' },
    { type: 'reasoning.encrypted', index: 0, data: 'd' },
    { type: 'reasoning.text', text: 'c' },
    { type: 'reasoning.text', text: 'd' },
    'nothing',
  ])
  assert.deepEqual(details, [
    { type: 'reasoning.text', index: 0, text: 'ab', signature: 's' },
    { type: 'reasoning.encrypted', index: 0, data: 'd' },
    { type: 'reasoning.text', text: 'c' },
    { type: 'reasoning.text', text: 'd' },
  ])
})

test('what was sealed as plain text is read as such', () => {
  for (const text of ['Hm', '{"a":1}', '{', '']) assert.deepEqual(unpackReasoning(text), { text, details: [] })
  fc.assert(
    fc.property(fc.string(), words => {
      assert.deepEqual(unpackReasoning(packReasoning({ text: words, details: [] })), { text: words, details: [] })
    }),
  )
})

test('tools: namespaces are flattened, free text becomes a parameter, what a host would run is dropped', () => {
  const { body, called, dropped } = responsesToChat({
    model: 'm',
    input: [
      { type: 'function_call', call_id: '1', name: 'read', namespace: 'mcp__files__', arguments: '{}' },
      { type: 'custom_tool_call', call_id: '2', name: 'patch', input: 'say "hi"' },
      { type: 'custom_tool_call_output', call_id: '2', output: 'done' },
      { type: 'web_search_call', id: 'ws' },
    ],
    tools: [
      { type: 'namespace', name: 'mcp__files__', description: 'd', tools: [{ type: 'function', name: 'read' }] },
      { type: 'custom', name: 'patch', format: { type: 'grammar', syntax: 'lark', definition: 'start: "x"' } },
      { type: 'web_search', search_context_size: 'low' },
    ],
    tool_choice: { type: 'web_search' },
  })
  const [read, patch] = body.tools as { function: { name: string; description?: string } }[]
  assert.deepEqual([read?.function.name, patch?.function.name], ['mcp__files__read', 'patch'])
  assert.match(patch?.function.description ?? '', /lark grammar:\nstart: "x"/)
  assert.equal(body.tool_choice, 'auto')
  assert.deepEqual(dropped, ['tools[2] (web_search)', 'input[3] (web_search_call)', 'tool_choice'])
  assert.deepEqual(
    [...called],
    [
      ['mcp__files__read', { name: 'read', namespace: 'mcp__files__', custom: false }],
      ['patch', { name: 'patch', custom: true }],
    ],
  )
  const [message] = body.messages as { tool_calls: { function: { name: string; arguments: string } }[] }[]
  assert.deepEqual(
    message?.tool_calls.map(call => [call.function.name, customInput(call.function.arguments)]),
    [
      ['mcp__files__read', '{}'],
      ['patch', 'say "hi"'],
    ],
  )
})

test('what a chat asks and Responses cannot say is named', () => {
  const { body, dropped } = chatToResponses({
    ...{ model: 'm', messages: [], n: 2, stop: ['x'], seed: null, reasoning: { effort: 'low', max_tokens: 5 } },
  })
  assert.deepEqual(dropped, ['n', 'stop', 'reasoning.max_tokens'])
  assert.deepEqual(body, { model: 'm', input: [], reasoning: { effort: 'low' }, store: false })
})
