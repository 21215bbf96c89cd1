import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ApiKey, Org, Price } from '../inference/snapshot.ts'
import {
  buildSnapshot,
  modelConflict,
  modelsOf,
  priceHistory,
  type SnapshotState,
  type StoredModel,
} from './snapshot-builder.ts'

function state(parts: Partial<SnapshotState>): SnapshotState {
  return { orgs: [], keys: [], models: [], prices: [], projects: [], limits: [], ...parts }
}

function org(id: string): Org {
  return { id, name: id, disabled: false }
}

function key(id: string, orgId: string, hash = `hash-${id}`): ApiKey {
  const unbounded = { capNanodollars: null, expiresMs: null, revokedMs: null, projectId: null }
  return { id, orgId, name: id, hash, hint: 'abcd', createdMs: 0, ...unbounded }
}

function model(id: string, ...aliases: string[]): StoredModel {
  return {
    id,
    aliases,
    name: id,
    ownedBy: 'headrace',
    createdS: 0,
    license: '',
    contextTokens: 1_000,
    outputTokensMax: 1_000,
    trancheTokens: 1_000,
    capabilities: { chat: true, completion: true, tools: false, reasoning: false, jsonSchema: false, logprobs: false },
    targets: [],
  }
}

function price(id: string, modelId: string, fromMs: number, toMs: number | null = null): Price {
  const nothing = { inputPicodollars: 0n, cachedInputPicodollars: 0n, outputPicodollars: 0n, requestPicodollars: 0n }
  return { id, modelId, fromMs, toMs, ...nothing }
}

function check(name: string, parts: Partial<SnapshotState>, conflict: RegExp) {
  test(`conflict: ${name}`, () => {
    assert.throws(() => buildSnapshot(state(parts), 1), { name: 'SnapshotConflict', message: conflict })
  })
}

check('two orgs of one id', { orgs: [org('a'), org('a')] }, /two orgs have the id "a"/)
check('a key of nobody', { keys: [key('k', 'gone')] }, /key "k" belongs to the unknown org "gone"/)
check('one hash twice', { orgs: [org('a')], keys: [key('k', 'a', 'h'), key('l', 'a', 'h')] }, /key "l" occurs twice/)
check('two models of one id', { models: [model('m'), model('m')] }, /"m" names the model "m" twice/)
check(
  'an alias that is an id',
  { models: [model('m'), model('n', 'm')] },
  /"m" is the id of a model, so "n" cannot have it/,
)
check('an alias had twice', { models: [model('m', 'x'), model('n', 'x')] }, /"x" is an alias of the model "m"/)
check('an alias repeated', { models: [model('m', 'x', 'x')] }, /"x" names the model "m" twice/)

test('a model is found by id and alias, and listed once', () => {
  const snapshot = buildSnapshot(state({ models: [model('m', 'x', 'y'), model('n')], prices: [price('p', 'm', 5)] }), 7)
  assert.equal(snapshot.version, 7)
  assert.equal(snapshot.models.get('y'), snapshot.models.get('m'))
  assert.deepEqual(
    modelsOf(snapshot).map(each => each.id),
    ['m', 'n'],
  )
  assert.deepEqual(
    snapshot.models.get('x')?.prices.map(each => each.id),
    ['p'],
  )
  assert.deepEqual(snapshot.models.get('n')?.prices, [])
})

test('an alias that ends in a star is a prefix, the longest first', () => {
  const { modelPrefixes } = buildSnapshot(state({ models: [model('m', 'a-*', 'b'), model('n', 'a-bc-*')] }), 1)
  assert.deepEqual(
    modelPrefixes?.map(each => [each.prefix, each.model.id]),
    [
      ['a-bc-', 'n'],
      ['a-', 'm'],
    ],
  )
  assert.equal(buildSnapshot(state({ models: [model('m', 'x')] }), 1).modelPrefixes, undefined)
})

check('a prefix had twice', { models: [model('m', 'x-*'), model('n', 'x-*')] }, /"x-\*" is an alias of the model "m"/)

test('keys are found by hash, revoked ones too', () => {
  const revoked = { ...key('k', 'a'), revokedMs: 9 }
  const snapshot = buildSnapshot(state({ orgs: [org('a')], keys: [revoked] }), 1)
  assert.equal(snapshot.keysByHash.get('hash-k'), revoked)
  assert.equal(snapshot.keys.get('k'), revoked)
})

test('a model may replace itself, and nobody else', () => {
  const snapshot = buildSnapshot(state({ models: [model('m', 'x')] }), 1)
  assert.equal(modelConflict(snapshot, 'm', ['x', 'y']), null)
  assert.match(modelConflict(snapshot, 'n', ['x']) ?? '', /alias of the model "m"/)
  assert.match(modelConflict(snapshot, 'x', []) ?? '', /alias of the model "m"/)
  assert.match(modelConflict(snapshot, 'n', ['z', 'z']) ?? '', /given twice/)
})

test('at any instant the price begun last is in force, alone', () => {
  const starts = fc.uniqueArray(fc.integer({ min: 0, max: 50 }), { maxLength: 8 })
  fc.assert(
    fc.property(starts, fc.integer({ min: 0, max: 60 }), (fromMs, atMs) => {
      const history = priceHistory(fromMs.map(from => price(`p${from}`, 'm', from)))
      const inForce = history.filter(each => each.fromMs <= atMs && (each.toMs === null || atMs < each.toMs))
      const expected = fromMs.filter(from => from <= atMs)
      assert.deepEqual(
        inForce.map(each => each.fromMs),
        expected.length === 0 ? [] : [Math.max(...expected)],
      )
    }),
  )
})

test('a price that ends before the next begins leaves a gap', () => {
  const history = priceHistory([price('late', 'm', 20), price('early', 'm', 0, 10)])
  assert.deepEqual(
    history.map(({ id, fromMs, toMs }) => [id, fromMs, toMs]),
    [
      ['early', 0, 10],
      ['late', 20, null],
    ],
  )
})
