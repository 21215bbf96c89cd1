import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../../errors.ts'
import type { JsonObject } from '../../inference/request.ts'
import { chatToMessages } from './from-chat.ts'

const HELLO = [{ role: 'user', content: 'Hello' }]

function check(fields: JsonObject, expected: JsonObject, dropped: readonly string[] = []): void {
  const { body, dropped: lost } = chatToMessages({ model: 'm', max_tokens: 5000, messages: HELLO, ...fields }, 7)
  const { model: _, ...rest } = body
  assert.deepEqual([rest, lost], [{ max_tokens: 5000, messages: HELLO, ...expected }, dropped], JSON.stringify(fields))
}

test('there is always a limit', () => {
  check({ max_tokens: undefined }, { max_tokens: 7 })
  check({ max_tokens: 9, max_completion_tokens: 8 }, { max_tokens: 8 })
})

test('what the system says first stands apart, and what it says later in its place', () => {
  check(
    { messages: [{ role: 'developer', content: 'a' }, { role: 'system', content: 'b' }, ...HELLO] },
    {
      system: [
        { type: 'text', text: 'a' },
        { type: 'text', text: 'b' },
      ],
    },
  )
  check(
    { messages: [...HELLO, { role: 'developer', content: 'b' }] },
    { messages: [...HELLO, { role: 'system', content: 'b' }] },
  )
})

test('results of parallel calls are one turn, together with what the user says next', () => {
  const calls = ['a.1', 'b'].map(id => ({ id, type: 'function', function: { name: 'f', arguments: '' } }))
  check(
    {
      messages: [
        ...HELLO,
        { role: 'assistant', content: null, tool_calls: calls },
        { role: 'tool', tool_call_id: 'a.1', content: '' },
        { role: 'tool', tool_call_id: 'b', content: 'done', is_error: true },
        { role: 'user', content: 'And?' },
        { role: 'assistant', content: '' },
      ],
    },
    {
      messages: [
        ...HELLO,
        {
          role: 'assistant',
          content: ['a_1', 'b'].map(id => ({ type: 'tool_use', id, name: 'f', input: {} })),
        },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 'a_1' },
            { type: 'tool_result', tool_use_id: 'b', content: 'done', is_error: true },
            { type: 'text', text: 'And?' },
          ],
        },
      ],
    },
  )
})

test('arguments that are no object are shown as they are, and named', () => {
  const call = { id: 'a', type: 'function', function: { name: 'f', arguments: '{"on":' } }
  check(
    { messages: [{ role: 'assistant', tool_calls: [call] }] },
    {
      messages: [
        { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'f', input: { arguments: '{"on":' } }] },
      ],
    },
    ['messages[0].tool_calls[0].function.arguments (no JSON object)'],
  )
})

test('thoughts keep signatures that can be checked, and others are named', () => {
  const said = (fields: JsonObject, blocks: JsonObject[], dropped: string[] = []) =>
    check(
      { messages: [{ role: 'assistant', content: 'x', ...fields }] },
      { messages: [{ role: 'assistant', content: [...blocks, { type: 'text', text: 'x' }] }] },
      dropped,
    )
  said({ reasoning: 'Hm.' }, [{ type: 'thinking', thinking: 'Hm.', signature: '' }])
  said({ reasoning_content: 'Hm.', reasoning_details: [{ type: 'reasoning.text', text: 'Hm.', signature: 'Eq=' }] }, [
    { type: 'thinking', thinking: 'Hm.', signature: 'Eq=' },
  ])
  // Who signed in another form is not who will check it.
  said(
    { reasoning_details: [{ type: 'reasoning.text', text: 'Hm.', signature: 'Eq=', format: 'google-gemini-v1' }] },
    [{ type: 'thinking', thinking: 'Hm.', signature: '' }],
    ['messages[0].reasoning_details[0].signature'],
  )
  said(
    {
      reasoning: 'In short.',
      reasoning_details: [
        { type: 'reasoning.summary', summary: 'In short.' },
        { type: 'reasoning.encrypted', data: 'x', format: 'openai-responses-v1' },
      ],
    },
    [{ type: 'thinking', thinking: 'In short.', signature: '' }],
    ['messages[0].reasoning_details[1] (reasoning.encrypted)'],
  )
  // The order holds though one of the thoughts has no block.
  check(
    {
      messages: [
        {
          ...{ role: 'assistant', content: 'x', block_order: ['text', 'thinking', 'thinking'] },
          reasoning_details: [
            { type: 'reasoning.encrypted', data: 'x' },
            { type: 'reasoning.summary', summary: 'In short.' },
          ],
        },
      ],
    },
    {
      messages: [
        {
          role: 'assistant',
          content: [
            { type: 'text', text: 'x' },
            { type: 'thinking', thinking: 'In short.', signature: '' },
          ],
        },
      ],
    },
    ['messages[0].reasoning_details[0] (reasoning.encrypted)'],
  )
})

test('effort asks for thinking', () => {
  check({ reasoning_effort: 'minimal' }, { thinking: { type: 'adaptive' }, output_config: { effort: 'low' } })
  check({ reasoning: { effort: 'high' } }, { thinking: { type: 'adaptive' }, output_config: { effort: 'high' } })
  check({ reasoning: { enabled: false } }, { thinking: { type: 'disabled' } })
  check({ reasoning: { max_tokens: 2000 } }, { thinking: { type: 'enabled', budget_tokens: 2000 } })
  check({ reasoning: { max_tokens: 9000 } }, { thinking: { type: 'enabled', budget_tokens: 4999 } })
  check({ max_tokens: 800, reasoning: { max_tokens: 2000 } }, { max_tokens: 800 }, ['thinking.budget_tokens'])
  check({ reasoning_effort: 'ultra' }, {}, ['reasoning_effort'])
})

test('what has no place is named, and content without a form is refused', () => {
  check({ seed: 1, frequency_penalty: 0.5, stream_options: {}, n: null }, {}, ['seed', 'frequency_penalty'])
  check({ temperature: 1.5 }, { temperature: 1 }, ['temperature'])
  check({ messages: [{ role: 'user', content: 'Hello', name: 'Ann' }] }, {}, ['messages[0].name'])
  check({ messages: [{ role: 'user', content: [{ type: 'text', text: 'Hello', prompt_cache_breakpoint: {} }] }] }, {}, [
    'messages[0].content[0].prompt_cache_breakpoint',
  ])
  check(
    { response_format: { type: 'json_object' } },
    { output_config: { format: { type: 'json_schema', schema: { type: 'object' } } } },
  )
  const audio = { type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } }
  assert.throws(
    () => check({ messages: [{ role: 'user', content: [audio] }] }, {}),
    (error: unknown) => error instanceof ApiError && error.param === 'messages[0].content[0]',
  )
})

test('a marker on a message marks its last block', () => {
  check(
    { messages: [{ role: 'user', content: 'Hello', cache_control: { type: 'ephemeral' } }] },
    { messages: [{ role: 'user', content: [{ type: 'text', text: 'Hello', cache_control: { type: 'ephemeral' } }] }] },
  )
})
