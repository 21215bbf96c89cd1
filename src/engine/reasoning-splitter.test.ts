import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reasoningSplitter } from './reasoning-splitter.ts'

/** Splits the text cut at every place, and one character at a time. */
function check(text: string, open: boolean, reasoning: string, content: string): void {
  const cuts = [[...text]]
  for (let at = 0; at <= text.length; at++) cuts.push([text.slice(0, at), text.slice(at)])
  for (const pieces of cuts) {
    const splitter = reasoningSplitter('<think>', '</think>', open)
    const out = { reasoning: '', content: '' }
    for (const piece of [...pieces.map(one => splitter.push(one)), splitter.flush()]) {
      out.reasoning += piece.reasoning
      out.content += piece.content
    }
    assert.deepEqual(out, { reasoning, content }, JSON.stringify(pieces))
  }
}

test('an answer without thinking is content', () => {
  check('Hello <b>there', false, '', 'Hello <b>there')
  check('<thin', false, '', '<thin')
})

test('thinking is set apart, with the white space around its tags', () => {
  check('<think>\nwhy not\n</think>\n\nYes.', false, 'why not', 'Yes.')
  check('\n<think>a</think>b', false, 'a', 'b')
  check('<think></think>b', false, '', 'b')
})

test('a prompt that opened the thinking block makes the answer begin inside it', () => {
  check('so it is</think>Yes </think> indeed', true, 'so it is', 'Yes </think> indeed')
  check('two  words\n\nand more</think>x', true, 'two  words\n\nand more', 'x')
})

test('thinking that was cut off stays reasoning', () => {
  check('<think>because </th', false, 'because </th', '')
})
