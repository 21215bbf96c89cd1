import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ChunkScan } from './chunk-scan.ts'

function scan(json: string): ChunkScan {
  const bytes = Buffer.from(`noise"${json}"noise`)
  const result = new ChunkScan()
  result.scan(bytes, 6, 6 + Buffer.byteLength(json))
  return result
}

/** Text that looks like what the scan searches for. */
const text = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('"usage":{', '"error":1', '\\', '"', '"model":"x"', '\n', '🙂', '好'),
    ),
  )
  .map(parts => parts.join(''))
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null })

test('finds what a parser would find', () => {
  const delta = fc.record(
    {
      content: maybe(text),
      refusal: maybe(text),
      reasoning: maybe(text),
      unknown: text,
      tool_calls: fc.constantFrom(null, []),
    },
    { requiredKeys: [] },
  )
  const chunk = fc.record(
    {
      id: text,
      model: text,
      choices: fc.array(fc.record({ delta, finish_reason: maybe(fc.constantFrom('stop')) }), { maxLength: 3 }),
      usage: fc.constantFrom(null, {}),
      error: fc.constantFrom(null, { code: 1 }),
    },
    { requiredKeys: ['id'] },
  )
  const spaces = fc.constantFrom(undefined, 1)
  fc.assert(
    fc.property(chunk, spaces, fc.boolean(), (value, space, ascii) => {
      let json = JSON.stringify(value, null, space)
      if (ascii)
        json = json.replace(/[\u0080-\uffff]/g, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      // Lone surrogates have no UTF-8 of their own; what they count for is of no interest.
      fc.pre(json.isWellFormed() && !/\\ud[89a-f]/i.test(JSON.stringify(value)))
      const found = scan(json)
      const choices = value.choices ?? []
      assert.equal(found.hasChoices, value.choices !== undefined)
      assert.equal(found.hasUsage, value.usage !== undefined && value.usage !== null)
      assert.equal(found.hasError, value.error !== undefined && value.error !== null)
      assert.equal(
        found.hasFinish,
        choices.some(choice => typeof choice.finish_reason === 'string'),
      )
      assert.equal(
        found.hasToolCalls,
        choices.some(choice => Array.isArray(choice.delta?.tool_calls)),
      )
      assert.equal(found.modelStart !== -1, value.model !== undefined)
      const texts = choices.flatMap(choice => [choice.delta?.content ?? '', choice.delta?.refusal ?? ''])
      assert.equal(
        found.textBytes,
        texts.reduce((sum, one) => sum + Buffer.byteLength(one), 0),
      )
    }),
  )
})

test('text that ends too early is no trouble', () => {
  const json =
    '{"model":"m","choices":[{"delta":{"content":"a\\u00e9b","reasoning":null},"finish_reason":"stop"}],"usage":{}}'
  for (let end = 0; end < json.length; end++) assert.doesNotThrow(() => scan(json.slice(0, end)))
})
