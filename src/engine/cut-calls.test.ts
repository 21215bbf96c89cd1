import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cutCalls } from './cut-calls.ts'

const WHOLE =
  '{"tool_calls":[{"name":"set","arguments":{"to":"a } ] \\" b"}}, {"name":"get","arguments":{"of":[1,{"x":2}]}}]}'

test('calls that were cut off: whole ones whole, the last with what there is of it', () => {
  const check = (cutAfter: string, expected: [string, string][]) => {
    const text = WHOLE.slice(0, WHOLE.indexOf(cutAfter) + cutAfter.length)
    assert.deepEqual(
      cutCalls(text).map(call => [call.name, call.arguments]),
      expected,
      text,
    )
  }
  const first: [string, string] = ['set', '{"to":"a } ] \\" b"}']
  check('{"tool_calls":', [])
  check('{"name":"se', [])
  check('{"name":"set"', [['set', '']])
  check('"arguments":{"to":"a }', [['set', '{"to":"a }']])
  check('b"}}', [first])
  check('{"name":"ge', [first])
  check('{"of":[1,', [first, ['get', '{"of":[1,']])
  check(']}', [first, ['get', '{"of":[1,{"x":2}]}']])
})

test('a cut at any place throws nothing and sends no wrapper', () => {
  for (let at = 0; at <= WHOLE.length; at++) {
    for (const call of cutCalls(WHOLE.slice(0, at))) assert.ok(!call.arguments.includes('tool_calls'))
  }
})
