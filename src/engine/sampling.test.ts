import assert from 'node:assert/strict'
import { test } from 'node:test'
import { foldSeed, nativeSampling } from './sampling.ts'

test('what a client says is what the binding gets', () => {
  const options = nativeSampling(
    {
      stop: [],
      temperature: 0,
      topP: 0.5,
      topK: 7,
      minP: 0.1,
      frequencyPenalty: 0.3,
      presencePenalty: 0.2,
      repetitionPenalty: 1.5,
      seed: 9,
    },
    0,
    false,
  )
  assert.deepEqual(options, {
    temperature: 0,
    top_p: 0.5,
    top_k: 7,
    min_p: 0.1,
    penalty_freq: 0.3,
    penalty_present: 0.2,
    penalty_repeat: 1.5,
    xtc_probability: 0,
    dry_multiplier: 0,
    seed: 9,
  })
})

test('log probabilities come from a distribution that is cut little, and contain what was drawn', () => {
  const options = nativeSampling({ stop: [], topLogprobs: 0 }, 0, false)
  assert.equal(options.temperature, 1)
  assert.equal(options.top_p, 1)
  assert.equal(options.n_probs, options.top_k)
  assert.equal(nativeSampling({ stop: [], topLogprobs: 5, topK: 3 }, 0, false).n_probs, 3)
})

test('seeds of any size are folded, and choices of one seed differ', () => {
  for (const seed of [0, 1, -1, 2 ** 31, -(2 ** 40), Number.MAX_SAFE_INTEGER]) {
    const folded = [0, 1, 2].map(choice => foldSeed(seed, choice))
    assert.equal(new Set(folded).size, 3)
    for (const one of folded) assert.ok(Number.isInteger(one) && one >= 0 && one < 2 ** 31, `${seed}: ${one}`)
  }
  assert.equal(foldSeed(42, 0), 42)
})

test('what the binding cannot do is refused', () => {
  assert.throws(() => nativeSampling({ stop: [], logitBias: { '5': 1 } }, 0, false), /logit_bias/)
  assert.throws(() => nativeSampling({ stop: [], ignoreEos: true }, 0, true), /ignore_eos/)
  assert.throws(() => nativeSampling({ stop: [], repetitionPenalty: 0 }, 0, false), /repetition_penalty/)
  assert.ok(nativeSampling({ stop: [], ignoreEos: true }, 0, false).grammar)
})
