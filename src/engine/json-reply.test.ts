import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jsonReply } from './json-reply.ts'

/** Reads the document cut at every place, and one character at a time. */
function check(json: string, isReply: boolean | undefined, text: string): void {
  const cuts = [[...json]]
  for (let at = 0; at <= json.length; at++) cuts.push([json.slice(0, at), json.slice(at)])
  for (const pieces of cuts) {
    const reader = jsonReply('response')
    assert.equal(pieces.map(piece => reader.push(piece)).join(''), text, JSON.stringify(pieces))
    assert.equal(reader.isReply, isReply)
  }
}

test('the text of a reply is read, escapes and all', () => {
  check('{"response":"Hi there"}', true, 'Hi there')
  check('{ "response" : "a\\n\\"b\\" \\\\ \\u00e9 \\ud83d\\ude00 ö"}', true, 'a\n"b" \\ é 😀 ö')
  check('{"response":"cut off', true, 'cut off')
  check('{"response":""}', true, '')
})

test('anything else is no reply', () => {
  check('{"tool_calls":[]}', false, '')
  check('{"resp', undefined, '')
})
