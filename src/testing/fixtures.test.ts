import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gguf } from '@huggingface/gguf'
import { ensureFixture, FIXTURE_NAMES, type FixtureName, fixtureSha256 } from './fixtures.ts'
import { buildVocabulary, letterOfByte } from './fixtures-vocabulary.ts'

let dir: string
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headrace-fixtures-'))
})
after(() => rm(dir, { recursive: true }))

/** Compares some of a fixture's metadata and tensor shapes with what an independent parser reads. */
async function checkFixture(
  name: FixtureName,
  expected: { metadata: Record<string, unknown>; shapes: Record<string, number[]>; bytesMax: number },
): Promise<void> {
  const path = await ensureFixture(name, dir)
  assert.ok((await stat(path)).size <= expected.bytesMax)
  const parsed = await gguf(path, { allowLocalFile: true })
  const metadata = parsed.metadata as unknown as Record<string, unknown>
  for (const [key, value] of Object.entries({ version: 3, 'general.architecture': name, ...expected.metadata })) {
    assert.deepEqual(metadata[key], value, key)
  }
  const tokens = metadata['tokenizer.ggml.tokens'] as string[]
  const types = metadata['tokenizer.ggml.token_type'] as number[]
  assert.equal(types.length, tokens.length)
  assert.equal(metadata[`${name}.vocab_size`], tokens.length)
  for (const kind of ['bos', 'eos']) {
    assert.equal(types[metadata[`tokenizer.ggml.${kind}_token_id`] as number], 3, `${kind} is a control token`)
  }
  assert.match(metadata['tokenizer.chat_template'] as string, /tools/)
  const shapes = new Map(parsed.tensorInfos.map(tensor => [tensor.name, tensor.shape.map(Number)]))
  for (const [tensor, shape] of Object.entries(expected.shapes)) {
    assert.deepEqual(
      shapes.get(tensor),
      shape.map(size => (size === VOCABULARY ? tokens.length : size)),
      tensor,
    )
  }
}

/** Stands for the size of the vocabulary in a shape. */
const VOCABULARY = -1

test('the llama fixture', () =>
  checkFixture('llama', {
    metadata: { 'llama.block_count': 2, 'llama.context_length': 8192, 'tokenizer.ggml.add_bos_token': false },
    shapes: {
      'token_embd.weight': [128, VOCABULARY],
      'blk.1.attn_k.weight': [128, 64],
      'blk.1.ffn_down.weight': [256, 128],
    },
    bytesMax: 2_000_000,
  }))

test('the deepseek4 fixture has every kind of layer', () =>
  checkFixture('deepseek4', {
    metadata: {
      'deepseek4.block_count': 5,
      'deepseek4.attention.compress_ratios': [0, 4, 128, 4, 128],
      'deepseek4.hash_layer_count': 2,
      'deepseek4.hyper_connection.count': 4,
      'deepseek4.expert_gating_func': 4,
      'tokenizer.ggml.add_bos_token': true,
    },
    shapes: {
      'blk.0.attn_sinks.weight': [4],
      'blk.0.hc_attn_fn.weight': [512, 24],
      'blk.0.ffn_gate_tid2eid.weight': [2, VOCABULARY],
      'blk.1.attn_compressor_ape.weight': [256, 4],
      'blk.1.indexer.attn_q_b.weight': [64, 256],
      'blk.1.indexer_compressor_kv.weight': [128, 128],
      'blk.2.attn_compressor_ape.weight': [128, 128],
      'blk.2.exp_probs_b.bias': [8],
      'blk.4.ffn_down_exps.weight': [64, 128, 8],
    },
    bytesMax: 8_000_000,
  }))

test('a fixture is written once, also when asked for at once, and is the same wherever it is written', async () => {
  for (const name of FIXTURE_NAMES) {
    const fresh = join(dir, 'not', 'yet', 'there', name)
    const paths = await Promise.all([
      ensureFixture(name, fresh),
      ensureFixture(name, fresh),
      ensureFixture(name, fresh),
    ])
    assert.equal(new Set(paths).size, 1)
    const [path] = paths
    const written = await stat(path)
    assert.equal(await ensureFixture(name, fresh), path)
    assert.equal((await stat(path)).mtimeMs, written.mtimeMs)
    assert.equal((await readdir(fresh)).length, 1)
    assert.equal(await fixtureSha256(path), await fixtureSha256(await ensureFixture(name, dir)))
  }
})

test('the vocabulary has every byte and builds its words by merges', () => {
  const vocabulary = buildVocabulary([{ text: '<x>', kind: 'control' }])
  const texts = vocabulary.tokens.map(token => token.text)
  for (let byte = 0; byte < 256; byte++) assert.equal(vocabulary.idOf(letterOfByte(byte)), byte)
  assert.equal(new Set(texts).size, texts.length)
  for (const merge of vocabulary.merges) {
    const parts = merge.split(' ')
    assert.equal(parts.length, 2)
    for (const part of [...parts, parts.join('')]) vocabulary.idOf(part)
  }
  vocabulary.idOf('Ġriver')
  assert.throws(() => vocabulary.idOf('nowhere'), /nowhere is not a token/)
  assert.throws(() => buildVocabulary([{ text: 'Ġriver', kind: 'control' }]), /occurs twice/)
})
