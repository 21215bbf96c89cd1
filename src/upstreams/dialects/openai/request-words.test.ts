import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Continuation, continueLast } from './continuation.ts'
import { translateEffort } from './effort.ts'

const USER = { role: 'user', content: 'Count.' }
const BEGUN = { role: 'assistant', content: 'One, ', prefix: true, reasoning_content: 'why' }

test('a continuation is said as the upstream knows it, and the request stays what it was', () => {
  const check = (how: Continuation | undefined, expected: object) => {
    const messages = [USER, BEGUN]
    const body = { model: 'm', messages }
    continueLast(body, how)
    assert.deepEqual(body, { model: 'm', ...expected })
    assert.deepEqual(messages, [USER, BEGUN])
  }
  const { prefix: _, ...bare } = BEGUN
  check(undefined, { messages: [USER, BEGUN] })
  check('unchanged', { messages: [USER, BEGUN] })
  check('prefix', { messages: [USER, BEGUN] })
  check('flags', { messages: [USER, bare], add_generation_prompt: false, continue_final_message: true })
  const unsaid = { messages: [USER, bare] }
  continueLast(unsaid, 'prefix')
  assert.deepEqual(unsaid.messages, [USER, { ...bare, prefix: true }])
})

test('an effort becomes the word that the model knows, in either place', () => {
  const words = { minimal: 'low', ultra: 'max' }
  const check = (body: Record<string, unknown>, expected: object) => {
    translateEffort(body, words)
    assert.deepEqual(body, expected)
  }
  check({ reasoning_effort: 'minimal' }, { reasoning_effort: 'low' })
  check({ reasoning_effort: 'high' }, { reasoning_effort: 'high' })
  check({ reasoning: { effort: 'ultra', exclude: true } }, { reasoning: { effort: 'max', exclude: true } })
  check({ reasoning_effort: 'constructor', reasoning: 'x' }, { reasoning_effort: 'constructor', reasoning: 'x' })
  check({}, {})
})
