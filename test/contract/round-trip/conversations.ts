import fc from 'fast-check'
import type { JsonObject } from '../../../src/inference/request.ts'

/** Conversations as the inner form has them, with all that one of the three APIs can say. */

const word = fc.stringMatching(/^[a-z]{1,8}$/)
const text = fc.string({ minLength: 1, maxLength: 12 })
const maybe = (value: fc.Arbitrary<JsonObject>) => fc.oneof(fc.constant({}), value)
const joined = (...parts: fc.Arbitrary<JsonObject>[]) =>
  fc.tuple(...parts).map(each => JSON.parse(JSON.stringify(Object.assign({}, ...each))) as JsonObject)
const marker = maybe(fc.constant({ cache_control: { type: 'ephemeral' } }))
const textPart = joined(fc.record({ type: fc.constant('text'), text }), marker)
const imagePart = joined(
  fc.record({
    type: fc.constant('image_url'),
    image_url: fc.record(
      {
        url: fc.constantFrom('https://example.com/a.png', 'data:image/png;base64,iVBORw=='),
        detail: fc.constantFrom('low', 'high', 'auto'),
      },
      { requiredKeys: ['url'] },
    ),
  }),
  marker,
)
const content = fc.oneof(text, fc.array(fc.oneof(textPart, imagePart), { minLength: 1, maxLength: 3 }))
const detail = fc.oneof(
  fc.record(
    { type: fc.constant('reasoning.text'), text, signature: text, format: fc.constantFrom('anthropic-claude-v1', 'x') },
    { requiredKeys: ['type', 'text'] },
  ),
  fc.record({ type: fc.constant('reasoning.encrypted'), data: text, format: fc.constant('anthropic-claude-v1') }),
  fc.record({ type: fc.constant('reasoning.encrypted'), data: text }),
  fc.record({ type: fc.constant('reasoning.summary'), summary: text }),
)
const thought = fc.oneof(
  fc.constant({}),
  text.map(reasoning => ({ reasoning })),
  text.map(said => ({ reasoning_content: said })),
  fc.array(detail, { minLength: 1, maxLength: 3 }).map(details => ({ reasoning_details: details })),
)
const call = (id: string) =>
  joined(
    fc.record({
      id: fc.constant(id),
      type: fc.constant('function'),
      function: fc.record({
        name: word,
        arguments: fc
          .dictionary(word, fc.jsonValue({ maxDepth: 1 }), { maxKeys: 2 })
          .map(value => JSON.stringify(value)),
      }),
    }),
    marker,
  )
const result = (id: string) =>
  joined(
    fc.record({ role: fc.constant('tool'), tool_call_id: fc.constant(id), content }),
    maybe(fc.constant({ is_error: true })),
    maybe(fc.record({ name: word })),
    marker,
  )
/** A turn of the assistant's, the results of its calls in any order, and what the user says. */
const exchange = fc.uniqueArray(fc.stringMatching(/^call_[a-z0-9]{4,8}$/), { maxLength: 3 }).chain(ids =>
  fc
    .tuple(
      fc.oneof(text, fc.array(textPart, { minLength: 1, maxLength: 2 })),
      fc.boolean(),
      thought,
      fc.tuple(...ids.map(call)),
      fc.tuple(...ids.map(result)).chain(results => fc.shuffledSubarray(results, { minLength: results.length })),
      content,
    )
    .chain(([said, silent, thoughts, calls, results, next]) => {
      const isSilent = silent && calls.length > 0
      const parts = isSilent ? 0 : typeof said === 'string' ? 1 : said.length
      const details = 'reasoning_details' in thoughts ? thoughts.reasoning_details.length : Object.keys(thoughts).length
      const kinds = [
        ...Array.from({ length: details }, () => 'thinking'),
        ...Array.from({ length: parts }, () => 'text'),
        ...calls.map(() => 'tool_use'),
      ]
      return fc.option(fc.shuffledSubarray(kinds, { minLength: kinds.length }), { nil: undefined }).map(order => [
        {
          ...{ role: 'assistant', content: isSilent ? null : said, ...thoughts },
          ...(calls.length > 0 && { tool_calls: calls }),
          ...(order !== undefined && { block_order: order }),
        },
        ...results,
        { role: 'user', content: next },
      ])
    }),
)

/** A whole request. */
export const chatRequest: fc.Arbitrary<JsonObject> = fc
  .tuple(
    fc.option(fc.record({ role: fc.constantFrom('system', 'developer'), content: text })),
    content,
    fc.array(exchange, { maxLength: 3 }),
    fc.record(
      {
        max_tokens: fc.integer({ min: 2000, max: 9000 }),
        temperature: fc.constantFrom(0, 0.5, 1, 1.5),
        stop: fc.array(word, { minLength: 1, maxLength: 2 }),
        seed: fc.nat(),
        user: word,
        stream: fc.boolean(),
        reasoning_effort: fc.constantFrom('none', 'low', 'high', 'max'),
        parallel_tool_calls: fc.boolean(),
        prompt_cache_key: word,
        verbosity: fc.constantFrom('low', 'high'),
        response_format: fc.record({
          type: fc.constant('json_schema'),
          json_schema: fc.record({
            name: fc.constantFrom('response', 'answer'),
            schema: fc.constant({ type: 'object' }),
            strict: fc.constant(true),
          }),
        }),
      },
      { requiredKeys: [] },
    ),
    fc.constantFrom('auto', 'none', 'required', { type: 'function', function: { name: 'look' } }),
  )
  .map(([system, first, exchanges, options, choice]) =>
    JSON.parse(
      JSON.stringify({
        ...{ model: 'm', ...options, tool_choice: choice },
        messages: [...(system === null ? [] : [system]), { role: 'user', content: first }, ...exchanges.flat()],
        tools: [{ type: 'function', function: { name: 'look', parameters: { type: 'object' } } }],
      }),
    ),
  )
