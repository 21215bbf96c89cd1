import assert from 'node:assert/strict'
import { test } from 'node:test'
import { begunBy, continued } from './continuation.ts'

const TAGS = { chat_format: 0, thinking_start_tag: '<think>', thinking_end_tag: '</think>' }

function check(prompt: string, content: string, reasoning: string, expected: string, tags: object = TAGS): void {
  assert.equal(continued({ prompt, chat_format: 0, ...tags }, { content, reasoning }).prompt, expected)
}

test('an answer goes on behind the header of the template', () => {
  check('<user>Hi<assistant>', 'One, ', '', '<user>Hi<assistant>One, ', {})
  check('<user>Hi<assistant>', 'One, ', '', '<user>Hi<assistant>One, ')
})

test('without thinking of its own it begins behind the thinking that the template opened', () => {
  check('Hi<a><think>', 'One', '', 'Hi<a><think></think>One')
  check('Hi<a><think>\n', 'One', '', 'Hi<a><think>\n</think>One')
  check('Hi<a></think>', 'One', '', 'Hi<a></think>One')
})

test('thinking goes on until there is content', () => {
  check('Hi<a><think>', '', 'Hm', 'Hi<a><think>Hm')
  check('Hi<a><think>', 'One', 'Hm', 'Hi<a><think>Hm</think>One')
  check('Hi<a>', 'One', 'Hm', 'Hi<a><think>Hm</think>One')
  // What earlier turns thought is over.
  check('<a><think>old</think>One<u>Hi<a>', '', 'Hm', '<a><think>old</think>One<u>Hi<a><think>Hm')
})

test('reasoning is read under either name', () => {
  const message = { role: 'assistant', content: null } as const
  assert.deepEqual(begunBy({ ...message, reasoning_content: 'a' }, 'x'), { content: 'x', reasoning: 'a' })
  assert.deepEqual(begunBy({ ...message, reasoning: 'b' }, null), { content: '', reasoning: 'b' })
})
