import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RESULT_PREFIX, sampleOf, scriptedAnswer, TEXT } from './scripted-answer.ts'

const user = { role: 'user', content: 'Hello' }
const tool = (name: string, parameters: object = {}) => ({ type: 'function', function: { name, parameters } })
const asked = (fields: object, calls = true) => scriptedAnswer({ messages: [user], ...fields }, calls)

test('without tools it talks', () => {
  assert.deepEqual([asked({}).text, asked({}).call], [TEXT, null])
})

test('of many tools it calls the shell, of others the first, and the one that is named', () => {
  assert.equal(asked({ tools: [tool('read'), tool('Bash')] }).call?.name, 'Bash')
  assert.equal(asked({ tools: [tool('read'), tool('write')] }).call?.name, 'read')
  const named = { tool_choice: { type: 'function', function: { name: 'write' } } }
  assert.equal(asked({ tools: [tool('read'), tool('write')], ...named }).call?.name, 'write')
})

test('it calls nothing when it may not, or only talks', () => {
  assert.equal(asked({ tools: [tool('read')], tool_choice: 'none' }).call, null)
  assert.equal(asked({ tools: [tool('read')] }, false).call, null)
})

test('a result is told; a question after it is a new turn', () => {
  const round = [
    user,
    { role: 'assistant', tool_calls: [] },
    { role: 'tool', content: [{ type: 'text', text: 'hello' }] },
  ]
  assert.equal(asked({ messages: round, tools: [tool('read')] }).text, `${RESULT_PREFIX}hello`)
  // Programs remind the model of things after a result, as a user.
  assert.equal(asked({ messages: [...round, user], tools: [tool('read')] }).text, `${RESULT_PREFIX}hello`)
  const over = [...round, { role: 'assistant', content: 'done' }, user]
  assert.equal(asked({ messages: over, tools: [tool('read')] }).call?.name, 'read')
})

test('every count differs, and contains what it has to contain', () => {
  const { input, cached, output, reasoning } = asked({}).usage
  assert.ok(cached > 0 && cached < input && reasoning > 0 && reasoning < output)
})

test('values for schemas are harmless and fit', () => {
  const schema = {
    type: 'object',
    properties: {
      command: { type: 'string' },
      words: { type: 'array', items: { type: 'string' }, minItems: 2 },
      kind: { enum: ['a', 'b'] },
      count: { anyOf: [{ type: 'integer', minimum: 3 }, { type: 'null' }] },
      left_out: { type: 'string' },
    },
    required: ['command', 'words', 'kind', 'count'],
  }
  assert.deepEqual(sampleOf(schema), { command: 'echo hello', words: ['hello', 'hello'], kind: 'a', count: 3 })
  assert.deepEqual(sampleOf({ type: 'array' }, 'command'), ['bash', '-lc', 'echo hello'])
})
