import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gib, planMemory, shapeOf, weightsBytesOf } from './memory-plan.ts'

/** SmolLM2-135M as its GGUF file describes it. */
const SMALL = {
  'general.architecture': 'llama',
  'llama.block_count': 30,
  'llama.context_length': 8192,
  'llama.embedding_length': 576,
  'llama.feed_forward_length': 1536,
  'llama.attention.head_count': 9,
  'llama.attention.head_count_kv': 3,
  'llama.vocab_size': 49152,
}

test('state is what llama.cpp allocates', () => {
  const shape = shapeOf(SMALL)
  const plan = planMemory(shape, {
    weightsBytes: 98_362_432,
    slots: 4,
    slotTokens: 2048,
    batchTokens: 64,
    flashAttention: false,
    cacheBytes: 0,
  })
  // llama_kv_cache reports 180.00 MiB for 8192 cells.
  assert.equal(plan.stateBytes, 180 * 2 ** 20)
  assert.equal(plan.totalBytes, plan.weightsBytes + plan.stateBytes + plan.computeBytes)
})

test('lists per layer and latent attention are understood', () => {
  const mixed = shapeOf({ ...SMALL, 'llama.block_count': 3, 'llama.attention.head_count_kv': [0, 3, 1] })
  assert.equal(mixed.stateElements, 4 * 128)
  const latent = shapeOf({
    'general.architecture': 'x',
    'x.block_count': 2,
    'x.embedding_length': 64,
    'x.attention.head_count': 4,
    'x.attention.kv_lora_rank': 512,
    'x.attention.key_length_mla': 192,
    'x.rope.dimension_count': 64,
  })
  assert.equal(latent.stateElements, 2 * 576)
})

test('all parts of a split model count', () => {
  const dir = mkdtempSync(join(tmpdir(), 'headrace-split-'))
  try {
    for (const [part, bytes] of [10, 20, 30].entries()) {
      const path = join(dir, `m-0000${part + 1}-of-00003.gguf`)
      writeFileSync(path, '')
      truncateSync(path, bytes)
    }
    assert.equal(weightsBytesOf(join(dir, 'm-00001-of-00003.gguf')), 60)
    rmSync(join(dir, 'm-00002-of-00003.gguf'))
    assert.throws(() => weightsBytesOf(join(dir, 'm-00001-of-00003.gguf')), /00002-of-00003/)
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('sizes read well', () => {
  assert.equal(gib(3.25 * 2 ** 30), '3.3 GiB')
  assert.equal(gib(5 * 2 ** 20), '0.005 GiB')
})
