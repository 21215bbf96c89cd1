import assert from 'node:assert/strict'
import { test } from 'node:test'
import { boundableTools } from './tool-schema.ts'

const toolOf = (parameters?: object) =>
  ({ type: 'function', function: { name: 'f', parameters: parameters as never } }) as const

test('bounds that no answer reaches are left out, wherever they stand', () => {
  const script = { type: 'string', maxLength: 524_288, pattern: '^a' }
  const [tool] = boundableTools([
    toolOf({
      type: 'object',
      properties: { script, all: { type: 'array', maxItems: 32, items: { anyOf: [script] } } },
    }),
  ])
  const loose = { type: 'string', pattern: '^a' }
  assert.deepEqual(tool?.function.parameters, {
    type: 'object',
    properties: { script: loose, all: { type: 'array', maxItems: 32, items: { anyOf: [loose] } } },
  })
})

test('other tools stay as they are', () => {
  const named = toolOf({
    type: 'object',
    properties: { maxLength: { type: 'integer', maximum: 9999 }, a: { maxLength: 256 } },
  })
  const tools = [named, toolOf()]
  const [first, second] = boundableTools(tools)
  assert.equal(first, named)
  assert.equal(second, tools[1])
})
