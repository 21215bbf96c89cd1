import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ToolDeclaration } from '../inference/request.ts'
import { genericTools } from './generic-tools.ts'

const WEATHER: ToolDeclaration = {
  type: 'function',
  function: {
    name: 'weather',
    parameters: { type: 'object', properties: { in: { $ref: '#/$defs/City' } }, $defs: { City: { type: 'string' } } },
  },
}

test('references within parameters are pointed to where the parameters are', () => {
  const { schema } = genericTools([WEATHER], { forced: true, parallel: false })
  const { tool0 } = schema.$defs as Record<string, { properties: unknown }>
  assert.deepEqual(tool0?.properties, { in: { $ref: '#/$defs/tool0/$defs/City' } })
})

test('an answer is calls, a reply, or cut off', () => {
  const tools = genericTools([WEATHER], { forced: false, parallel: true })
  assert.deepEqual(tools.read('{"tool_calls":[{"name":"weather","arguments":{"in":"Ulm"}}]}'), {
    calls: [{ name: 'weather', arguments: '{"in":"Ulm"}' }],
  })
  assert.deepEqual(tools.read('{"response":"Hi"}'), { content: 'Hi', calls: [] })
  assert.equal(tools.read('{"response":"H'), undefined)
})

test('the tools are told, and earlier calls and results become text', () => {
  const tools = genericTools([WEATHER], { forced: false, parallel: true })
  const told = tools.introduce([
    { role: 'system', content: 'Be brief.' },
    { role: 'assistant', content: null, tool_calls: [{ function: { name: 'weather', arguments: '{"in":"Ulm"}' } }] },
    { role: 'tool', content: 'rain' },
  ])
  assert.match(String(told[0]?.content), /^Be brief\.\n\nYou can call these tools:\n\{"name":"weather"/)
  assert.equal(told[1]?.content, '{"tool_calls": [{"name": "weather", "arguments": {"in":"Ulm"}}]}')
  assert.deepEqual(told[2], { role: 'user', content: 'Result of the tool call: rain' })
  assert.equal(tools.introduce([{ role: 'user', content: 'x' }])[0]?.role, 'system')
})
