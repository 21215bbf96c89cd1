import assert from 'node:assert/strict'
import { test } from 'node:test'
import { modelList } from './model-list.ts'
import { surfaceOf } from './surface.ts'

const MODEL = { id: 'm', object: 'model', created: 1_700_000_000, name: 'M', context_length: 10, max_output_tokens: 5 }

test('both families read the list that they ask for', () => {
  assert.deepEqual(modelList([MODEL], 'openai'), { object: 'list', data: [MODEL] })
  const list = modelList([MODEL], 'anthropic')
  const [model] = list.data as { [key: string]: unknown }[]
  assert.deepEqual([list.object, list.has_more, list.first_id, list.last_id], ['list', false, 'm', 'm'])
  assert.deepEqual(
    [model?.object, model?.type, model?.display_name, model?.created_at, model?.max_input_tokens, model?.max_tokens],
    ['model', 'model', 'M', '2023-11-14T22:13:20.000Z', 10, 5],
  )
  assert.deepEqual([modelList([], 'anthropic').first_id, modelList([], 'anthropic').last_id], [null, null])
})

test('who asks is told by the path, and for models by the version that Anthropic’s clients speak', () => {
  const version = { 'anthropic-version': '2023-06-01' }
  const check = (path: string, expected: string, headers = {}) => assert.equal(surfaceOf(path, headers), expected, path)
  check('/v1/models', 'openai')
  check('/v1/models', 'anthropic', version)
  check('/v1/models/a/b', 'anthropic', version)
  check('/v1/chat/completions', 'openai', version)
  check('/anthropic/v1/models', 'anthropic')
  for (const base of ['/v1', '/anthropic/v1', '/anthropic', '', '/api/v1'])
    check(`${base}/messages/count_tokens`, 'anthropic')
})
