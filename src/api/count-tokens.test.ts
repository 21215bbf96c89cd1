import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Caller } from '../admission/authenticate.ts'
import type { Model, Snapshot } from '../inference/snapshot.ts'
import type { ClientApiDeps } from './context.ts'
import { countedModel } from './count-tokens.ts'

const model = { id: 'lab/one' } as Model
const models = new Map([
  ['lab/one', model],
  ['one', model],
])
const snapshot = { models, modelPrefixes: [{ prefix: 'one-', model }] } as unknown as Snapshot
const deps = { snapshot: () => snapshot } as unknown as ClientApiDeps
const callerFor = (ofKey: string[] | null, ofToken?: string[]) =>
  ({ key: { models: ofKey }, ...(ofToken !== undefined && { token: { models: ofToken } }) }) as unknown as Caller

test('tokens are counted under every name that answers, for whom the model is', () => {
  for (const name of ['lab/one', 'one', 'one-20260101'])
    assert.equal(countedModel(deps, callerFor(['lab/one'], ['lab/one']), name), model)
  assert.throws(() => countedModel(deps, callerFor(null), 'two'), { code: 'model_not_found', param: 'model' })
  assert.throws(() => countedModel(deps, callerFor(['lab/two']), 'one'), { code: 'model_not_allowed', param: 'model' })
  assert.throws(() => countedModel(deps, callerFor(null, ['lab/two']), 'one'), { code: 'model_not_allowed' })
})
