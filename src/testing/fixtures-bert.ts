import { WeightMaker } from './fixtures-weights.ts'
import { buildWordPieces } from './fixtures-word-pieces.ts'
import type { GgufContent, GgufTensor } from './gguf-writer.ts'

const LAYERS = 2
const WIDTH = 64
const HEADS = 4
const FEED_FORWARD_WIDTH = 128
const CONTEXT_TOKENS = 256
/** Codes of `<architecture>.pooling_type` (llama.h, `llama_pooling_type`). */
const POOLING_MEAN = 1
const POOLING_RANK = 4

/** The `bert` architecture in small, made for embeddings: bidirectional attention, learned positions, word pieces, mean pooling. */
export function embeddingFixture(): GgufContent {
  return bert('embedding', POOLING_MEAN, new WeightMaker(7))
}

/** The same architecture as a cross-encoder: a head on the first token gives one score for query and document together. */
export function rerankerFixture(): GgufContent {
  const weights = new WeightMaker(8)
  const content = bert('reranker', POOLING_RANK, weights)
  const head: GgufTensor[] = [
    weights.matrix('cls.weight', [WIDTH, WIDTH], { type: 'f32' }),
    weights.vector('cls.bias', [WIDTH], 0, 0.1),
    weights.matrix('cls.output.weight', [WIDTH, 1], { gain: 3, type: 'f32' }),
    weights.vector('cls.output.bias', [1], 0, 0),
  ]
  return { ...content, tensors: [...content.tensors, ...head] }
}

/** Names and shapes are those that llama.cpp's `models/bert.cpp` loads. */
function bert(purpose: string, pooling: number, weights: WeightMaker): GgufContent {
  const vocabulary = buildWordPieces()
  const tensors: GgufTensor[] = [
    weights.matrix('token_embd.weight', [WIDTH, vocabulary.tokens.length], { gain: Math.sqrt(WIDTH) }),
    weights.vector('token_types.weight', [WIDTH, 2], 0, 0.1),
    weights.vector('position_embd.weight', [WIDTH, CONTEXT_TOKENS], 0, 0.3),
    ...norm(weights, 'token_embd_norm'),
  ]
  for (let layer = 0; layer < LAYERS; layer++) {
    const name = (part: string) => `blk.${layer}.${part}`
    tensors.push(
      ...linear(weights, name('attn_q'), WIDTH, WIDTH),
      ...linear(weights, name('attn_k'), WIDTH, WIDTH),
      ...linear(weights, name('attn_v'), WIDTH, WIDTH),
      ...linear(weights, name('attn_output'), WIDTH, WIDTH),
      ...norm(weights, name('attn_output_norm')),
      ...linear(weights, name('ffn_up'), WIDTH, FEED_FORWARD_WIDTH),
      ...linear(weights, name('ffn_down'), FEED_FORWARD_WIDTH, WIDTH),
      ...norm(weights, name('layer_output_norm')),
    )
  }
  return {
    metadata: {
      'general.architecture': { type: 'string', value: 'bert' },
      'general.name': { type: 'string', value: `Headrace ${purpose} fixture` },
      'general.description': { type: 'string', value: 'Random weights, for tests' },
      'general.license': { type: 'string', value: 'apache-2.0' },
      'general.file_type': { type: 'uint32', value: 1 },
      'bert.block_count': { type: 'uint32', value: LAYERS },
      'bert.context_length': { type: 'uint32', value: CONTEXT_TOKENS },
      'bert.embedding_length': { type: 'uint32', value: WIDTH },
      'bert.feed_forward_length': { type: 'uint32', value: FEED_FORWARD_WIDTH },
      'bert.attention.head_count': { type: 'uint32', value: HEADS },
      'bert.attention.layer_norm_epsilon': { type: 'float32', value: 1e-12 },
      'bert.attention.causal': { type: 'bool', value: false },
      'bert.pooling_type': { type: 'uint32', value: pooling },
      'tokenizer.ggml.model': { type: 'string', value: 'bert' },
      'tokenizer.ggml.token_type_count': { type: 'uint32', value: 2 },
      'tokenizer.ggml.tokens': { type: 'array', of: 'string', value: vocabulary.tokens },
      'tokenizer.ggml.token_type': { type: 'array', of: 'int32', value: vocabulary.types },
      'tokenizer.ggml.padding_token_id': { type: 'uint32', value: vocabulary.idOf('[PAD]') },
      'tokenizer.ggml.unknown_token_id': { type: 'uint32', value: vocabulary.idOf('[UNK]') },
      'tokenizer.ggml.bos_token_id': { type: 'uint32', value: vocabulary.idOf('[CLS]') },
      'tokenizer.ggml.cls_token_id': { type: 'uint32', value: vocabulary.idOf('[CLS]') },
      'tokenizer.ggml.seperator_token_id': { type: 'uint32', value: vocabulary.idOf('[SEP]') },
      'tokenizer.ggml.mask_token_id': { type: 'uint32', value: vocabulary.idOf('[MASK]') },
    },
    tensors,
  }
}

/** Weights and bias of `y = W x + b`. */
function linear(weights: WeightMaker, name: string, inputs: number, outputs: number): GgufTensor[] {
  return [
    weights.matrix(`${name}.weight`, [inputs, outputs], { gain: 0.8 }),
    weights.vector(`${name}.bias`, [outputs], 0, 0.1),
  ]
}

function norm(weights: WeightMaker, name: string): GgufTensor[] {
  return [weights.vector(`${name}.weight`, [WIDTH], 1, 0.1), weights.vector(`${name}.bias`, [WIDTH], 0, 0.1)]
}
