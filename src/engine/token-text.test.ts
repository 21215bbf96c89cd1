import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Binding } from './binding.ts'
import { textOfTokens } from './token-text.ts'

/** A tokenizer of words by their place in a list; as SentencePiece it puts a space before the first, and a mark may stand in front. */
function tokenizer(pieces: readonly string[]): Binding {
  return {
    detokenize: async (ids: readonly number[]) => ids.map(id => pieces[id]).join(''),
    async tokenize(text: string) {
      const ids: number[] = []
      let rest = text.startsWith('<s>') ? `<s> ${text.slice(3)}` : ` ${text}`
      while (rest.length > 0) {
        const id = pieces.findIndex(piece => rest.startsWith(piece))
        if (id < 0) return Int32Array.of(-1)
        ids.push(id)
        rest = rest.slice((pieces[id] as string).length)
      }
      return Int32Array.from(ids)
    },
  } as unknown as Binding
}

test('the space that the tokenizer adds is no part of the text, also behind a mark', async () => {
  const binding = tokenizer(['<s>', ' Hello', ' world', ' '])
  assert.equal(await textOfTokens(binding, [1, 2]), 'Hello world')
  assert.equal(await textOfTokens(binding, [0, 1, 2]), '<s>Hello world')
  assert.equal(await textOfTokens(binding, [0, 1], '<s>Hello world'), '<s>Hello')
})

test('tokens that no text leads to have none', async () => {
  const binding = tokenizer(['<s>', ' Hello', ' world', ' He', 'llo'])
  assert.equal(await textOfTokens(binding, [3, 4]), undefined)
  assert.equal(await textOfTokens(binding, [1], 'Bye'), undefined)
})
