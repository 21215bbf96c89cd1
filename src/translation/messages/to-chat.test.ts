import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../../errors.ts'
import type { JsonObject } from '../../inference/request.ts'
import { messagesToChat } from './to-chat.ts'

const HELLO = [{ role: 'user', content: 'Hello' }]
const LIGHT = { name: 'set_light', input_schema: { type: 'object' } }

function chat(fields: JsonObject): { body: JsonObject; dropped: readonly string[] } {
  return messagesToChat({ model: 'm', max_tokens: 5, messages: HELLO, ...fields })
}

/** The messages that turns become, and what was dropped on the way. */
function checkTurns(messages: unknown, expected: unknown, dropped: readonly string[] = []): void {
  const { body, ...rest } = chat({ messages })
  assert.deepEqual([body.messages, rest.dropped], [expected, dropped])
}

/** The fields beside model, limit and messages. */
function check(fields: JsonObject, expected: JsonObject, dropped: readonly string[] = []): void {
  const { body, dropped: lost } = chat(fields)
  const { model: _, max_tokens: __, messages: ___, ...rest } = body
  assert.deepEqual([rest, lost], [expected, dropped], JSON.stringify(fields))
}

test('a turn with results answers the calls before it says more', () => {
  checkTurns(
    [
      ...HELLO,
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'Both.', signature: 'hr1.msg_1' },
          { type: 'text', text: 'Yes.' },
          { type: 'tool_use', id: 'a', name: 'set_light', input: { on: true } },
          { type: 'tool_use', id: 'b', name: 'dim', input: {}, cache_control: { type: 'ephemeral' } },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Go on.' },
          { type: 'tool_result', tool_use_id: 'a', content: 'It is on.' },
          { type: 'tool_result', tool_use_id: 'b', is_error: true, content: [{ type: 'text', text: 'No dimmer.' }] },
        ],
      },
    ],
    [
      ...HELLO,
      {
        role: 'assistant',
        content: 'Yes.',
        reasoning_content: 'Both.',
        tool_calls: [
          { id: 'a', type: 'function', function: { name: 'set_light', arguments: '{"on":true}' } },
          {
            ...{ id: 'b', type: 'function', function: { name: 'dim', arguments: '{}' } },
            cache_control: { type: 'ephemeral' },
          },
        ],
      },
      { role: 'tool', tool_call_id: 'a', content: 'It is on.' },
      { role: 'tool', tool_call_id: 'b', content: 'No dimmer.', is_error: true },
      { role: 'user', content: 'Go on.' },
    ],
  )
})

test('a signature of ours is not sent on, one of a provider is', () => {
  const thinking = (signature: string) => [
    { role: 'assistant', content: [{ type: 'thinking', thinking: 'Hm.', signature }] },
  ]
  checkTurns(thinking('hr1.msg_1'), [{ role: 'assistant', content: '', reasoning_content: 'Hm.' }])
  const detail = { type: 'reasoning.text', text: 'Hm.', format: 'anthropic-claude-v1', index: 0, signature: 'EqQB=' }
  checkTurns(thinking('EqQB='), [
    { role: 'assistant', content: '', reasoning_content: 'Hm.', reasoning_details: [detail] },
  ])
})

test('the system prompt loses what Claude Code puts before it, and keeps its markers', () => {
  const header = { type: 'text', text: 'x-anthropic-billing-header: cc_version=2.1.330.123; cc_entrypoint=cli;' }
  const prompt = { type: 'text', text: 'You help.', cache_control: { type: 'ephemeral', ttl: '1h' } }
  const systemOf = (system: unknown) => (chat({ system }).body.messages as JsonObject[])[0]
  assert.deepEqual(systemOf([header, prompt]), { role: 'system', content: [prompt] })
  assert.deepEqual(systemOf([prompt, header]), { role: 'system', content: [prompt, header] })
  assert.deepEqual(systemOf('You help.'), { role: 'system', content: 'You help.' })
  assert.deepEqual(systemOf([header]), HELLO[0])
  checkTurns([...HELLO, { role: 'system', content: [prompt] }], [...HELLO, { role: 'system', content: [prompt] }])
})

test('images and files become parts, documents of text become text', () => {
  const check = (block: JsonObject, part: JsonObject | string, dropped: string[] = []) =>
    checkTurns(
      [{ role: 'user', content: [block] }],
      [{ role: 'user', content: typeof part === 'string' ? part : [part] }],
      dropped,
    )
  check(
    { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' }, cache_control: null },
    { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
  )
  check(
    { type: 'image', source: { type: 'url', url: 'https://a.example/b.png' } },
    { type: 'image_url', image_url: { url: 'https://a.example/b.png' } },
  )
  check(
    { type: 'document', title: 'Bill', source: { type: 'base64', media_type: 'application/pdf', data: 'AAAA' } },
    { type: 'file', file: { filename: 'Bill', file_data: 'data:application/pdf;base64,AAAA' } },
  )
  check(
    {
      ...{ type: 'document', title: 'A "b"', context: 'c', citations: { enabled: true } },
      source: { type: 'text', media_type: 'text/plain', data: 'Words.' },
    },
    '<document title="A \\"b\\"" context="c">\nWords.\n</document>',
    ['messages[0].content[0].citations'],
  )
  check(
    { type: 'search_result', title: 't', source: 'https://a.example', content: [{ type: 'text', text: 'Found.' }] },
    '<search_result title="t" source="https://a.example">\nFound.\n</search_result>',
  )
  const file = { type: 'image', source: { type: 'file', file_id: 'file_1' } }
  assert.throws(
    () => chat({ messages: [{ role: 'user', content: [file] }] }),
    (error: unknown) => error instanceof ApiError && error.param === 'messages[0].content[0].source.type',
  )
})

test('what is left out is named', () => {
  checkTurns(
    [
      ...HELLO,
      { role: 'assistant', content: [{ type: 'server_tool_use', id: 's', name: 'web_search', input: {} }] },
      {
        role: 'user',
        content: [
          { type: 'text', text: '' },
          { type: 'container_upload', file_id: 'f' },
        ],
      },
    ],
    HELLO,
    ['messages[1].content[0] (server_tool_use)', 'messages[2].content[1] (container_upload)'],
  )
  check({ context_management: { edits: [] }, container: null, speed: 'fast' }, {}, ['context_management', 'speed'])
  check({ metadata: { user_id: 'u', plan: 'x' } }, { user: 'u' }, ['metadata.plan'])
})

test('tools that nothing here can run are left out, and so are hidden ones until they are referred to', () => {
  const LIGHT_CHAT = { type: 'function', function: { name: 'set_light', parameters: { type: 'object' } } }
  check(
    {
      tools: [
        { ...LIGHT, type: 'custom', eager_input_streaming: true, cache_control: { type: 'ephemeral' } },
        { type: 'web_search_20250305', name: 'web_search', max_uses: 3 },
        { name: 'DeferredToolPlaceholder', input_schema: { type: 'object' }, defer_loading: true },
      ],
    },
    { tools: [{ ...LIGHT_CHAT, cache_control: { type: 'ephemeral' } }] },
    ['tools[1] (web_search_20250305)', 'tools[2] (DeferredToolPlaceholder)'],
  )
  const reference = {
    type: 'tool_result',
    tool_use_id: 'a',
    content: [{ type: 'tool_reference', tool_name: 'set_light' }],
  }
  const { body, dropped } = chat({
    tools: [{ ...LIGHT, defer_loading: true }],
    messages: [...HELLO, { role: 'user', content: [reference] }],
  })
  assert.deepEqual([body.tools, dropped], [[LIGHT_CHAT], []])
})

test('the choice of a tool', () => {
  const tools = [LIGHT]
  const chosen = (choice: JsonObject, expected: JsonObject, dropped: string[] = [], given = tools) => {
    const { body, dropped: lost } = chat({ tools: given, tool_choice: choice })
    const { tool_choice, parallel_tool_calls } = body
    assert.deepEqual(
      [{ tool_choice, parallel_tool_calls }, lost],
      [{ tool_choice: undefined, parallel_tool_calls: undefined, ...expected }, dropped],
    )
  }
  chosen({ type: 'auto' }, { tool_choice: 'auto' })
  chosen({ type: 'any', disable_parallel_tool_use: true }, { tool_choice: 'required', parallel_tool_calls: false })
  chosen({ type: 'tool', name: 'set_light' }, { tool_choice: { type: 'function', function: { name: 'set_light' } } })
  chosen({ type: 'none' }, { tool_choice: 'none' })
  chosen({ type: 'tool', name: 'gone' }, {}, ['tool_choice'])
  chosen({ type: 'any' }, {}, ['tool_choice'], [])
})

test('thinking and effort', () => {
  check({ thinking: { type: 'disabled' } }, { reasoning_effort: 'none' })
  check({ thinking: { type: 'adaptive', display: 'omitted' } }, { reasoning: { enabled: true } }, ['thinking.display'])
  check({ thinking: { type: 'adaptive' }, output_config: { effort: 'max' } }, { reasoning_effort: 'max' })
  check(
    { thinking: { type: 'enabled', budget_tokens: 2048 } },
    { reasoning_effort: 'low', thinking: { type: 'enabled', budget_tokens: 2048 } },
  )
  check({ thinking: { type: 'between_tools' } }, {}, ['thinking'])
  check({ thinking: { enabled: false } }, { reasoning_effort: 'none' })
  check({ thinking: { enabled: true } }, { reasoning: { enabled: true } })
})

test('format, stops and tier', () => {
  const schema = { type: 'object', properties: {} }
  const format = { type: 'json_schema', schema }
  const expected = { type: 'json_schema', json_schema: { name: 'response', schema, strict: true } }
  check({ output_config: { format } }, { response_format: expected })
  check({ output_format: format }, { response_format: expected })
  check({ stop_sequences: ['END'] }, { stop: ['END'] })
  check({ stop_sequences: [] }, {})
  check({ service_tier: 'standard_only' }, { service_tier: 'default' })
})
