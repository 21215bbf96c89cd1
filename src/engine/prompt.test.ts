import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Binding } from './binding.ts'
import { RequestFault } from './fault.ts'
import { prepare } from './prompt.ts'

test('a token id that the model does not have is a mistake of the request, not a failure of the engine', async () => {
  const binding = { detokenize: () => Promise.reject(new Error('vector::_M_range_check')) } as unknown as Binding
  const model = { chatTemplate: true, toolTemplate: false, bos: '', vision: false, fim: undefined }
  const running = prepare(binding, model, { kind: 'text', prompts: [[99_999_999]], echo: false, suffix: undefined })
  await assert.rejects(running, thrown => {
    assert.ok(thrown instanceof RequestFault)
    assert.equal(thrown.failure.reason, 'bad_request')
    assert.match(thrown.failure.message, /not in the model's vocabulary/)
    return true
  })
})
