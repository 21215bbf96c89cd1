import { DEEPSEEK4_TEMPLATE } from './fixtures-chat-templates.ts'
import { buildVocabulary, TOKEN_TYPE_CODE } from './fixtures-vocabulary.ts'
import { WeightMaker } from './fixtures-weights.ts'
import type { GgufContent, GgufTensor } from './gguf-writer.ts'

/**
 * Tokens per compressed entry of each layer: 0 is window only, 4 is CSA (with the indexer), 128 is HCA. llama.cpp takes no
 * other ratio.
 */
const COMPRESS_RATIOS = [0, 4, 128, 4, 128]
/** The first layers choose their experts by a table from token to experts, the rest by score. */
const HASH_LAYERS = 2

const WIDTH = 128
const HEADS = 4
const HEAD_WIDTH = 128
const ROPE_WIDTH = 32
const WINDOW_TOKENS = 128
const CONTEXT_TOKENS = 8192
const QUERY_RANK = 64
const OUTPUT_GROUPS = 2
const OUTPUT_RANK = 32
const INDEXER_HEADS = 4
/** At least 64: the smallest Hadamard rotation that llama.cpp makes for indexer keys. */
const INDEXER_WIDTH = 64
/** Small, so that prompts of more than 32 tokens already leave entries out. */
const INDEXER_TOP = 8
/** Streams of the residual; llama.cpp asserts that it is 4. */
const HYPER_CONNECTIONS = 4
const EXPERTS = 8
const EXPERTS_USED = 2
const EXPERT_WIDTH = 64
/** The code of `sqrtsoftplus`, the only gating that llama.cpp takes for this architecture. */
const GATING_SQRT_SOFTPLUS = 4

/**
 * The `deepseek4` architecture in small, with all its kinds of layers: window-only, CSA and HCA attention with sinks, an
 * indexer, hyper-connections, and hash-routed and scored experts beside a shared one. Names and shapes are those that
 * llama.cpp's `models/deepseek4.cpp` loads.
 */
export function deepseek4Fixture(): GgufContent {
  const vocabulary = buildVocabulary([
    { text: '<｜begin▁of▁sentence｜>', kind: 'control' },
    { text: '<｜end▁of▁sentence｜>', kind: 'control' },
    { text: '<｜User｜>', kind: 'control' },
    { text: '<｜Assistant｜>', kind: 'control' },
    { text: '｜DSML｜', kind: 'markup' },
    { text: '<think>', kind: 'markup' },
    // Likely enough that a thought ends after some dozens of tokens and an answer follows.
    { text: '</think>', kind: 'markup', logitBias: 2.5 },
    // What tool calls open with, and what ends an argument: likely enough that an answer given tools comes to call one, and
    // to finish the call. The opening is two tokens, since llama.cpp ends the process over a grammar's trigger that is one
    // token and that the chat format does not list as preserved.
    { text: '<｜DSML｜tool', kind: 'markup', logitBias: 2, follower: '_calls>' },
    { text: '_calls>', kind: 'markup' },
    { text: '</｜DSML｜parameter>', kind: 'markup', logitBias: 2 },
  ])
  const weights = new WeightMaker(4)
  const streams = HYPER_CONNECTIONS * WIDTH
  const mixes = (2 + HYPER_CONNECTIONS) * HYPER_CONNECTIONS
  const tensors: GgufTensor[] = [
    weights.embedding('token_embd.weight', WIDTH, vocabulary),
    weights.vector('output_norm.weight', [WIDTH], 1, 0),
    weights.output('output.weight', WIDTH, vocabulary, 0.9),
    weights.matrix('output_hc_fn.weight', [streams, HYPER_CONNECTIONS], { type: 'f32' }),
    weights.vector('output_hc_base.weight', [HYPER_CONNECTIONS], 0, 0.2),
    weights.vector('output_hc_scale.weight', [1], 0.3, 0),
  ]
  COMPRESS_RATIOS.forEach((ratio, layer) => {
    const name = (part: string) => `blk.${layer}.${part}.weight`
    tensors.push(
      weights.vector(name('attn_norm'), [WIDTH], 1, 0.1),
      weights.vector(name('attn_sinks'), [HEADS], 0, 0.5),
      weights.matrix(name('attn_q_a'), [WIDTH, QUERY_RANK]),
      weights.vector(name('attn_q_a_norm'), [QUERY_RANK], 1, 0.1),
      weights.matrix(name('attn_q_b'), [QUERY_RANK, HEADS * HEAD_WIDTH]),
      weights.matrix(name('attn_kv'), [WIDTH, HEAD_WIDTH]),
      weights.vector(name('attn_kv_a_norm'), [HEAD_WIDTH], 1.5, 0.1),
      weights.matrix(name('attn_output_a'), [(HEADS / OUTPUT_GROUPS) * HEAD_WIDTH, OUTPUT_GROUPS * OUTPUT_RANK]),
      weights.writer(name('attn_output_b'), [OUTPUT_GROUPS * OUTPUT_RANK, WIDTH], 2),
      ...['hc_attn', 'hc_ffn'].flatMap(part => [
        weights.matrix(name(`${part}_fn`), [streams, mixes], { type: 'f32' }),
        weights.vector(name(`${part}_base`), [mixes], 0, 0.2),
        weights.vector(name(`${part}_scale`), [3], 0.3, 0),
      ]),
    )
    if (ratio !== 0) tensors.push(...compressor(weights, layer, 'attn', ratio, HEAD_WIDTH))
    if (ratio === 4) {
      tensors.push(
        weights.matrix(name('indexer.proj'), [WIDTH, INDEXER_HEADS]),
        weights.matrix(name('indexer.attn_q_b'), [QUERY_RANK, INDEXER_HEADS * INDEXER_WIDTH]),
        ...compressor(weights, layer, 'indexer', ratio, INDEXER_WIDTH),
      )
    }
    tensors.push(
      weights.vector(name('ffn_norm'), [WIDTH], 1, 0.1),
      weights.matrix(name('ffn_gate_inp'), [WIDTH, EXPERTS], { type: 'f32' }),
      layer < HASH_LAYERS
        ? weights.distinctIntegers(name('ffn_gate_tid2eid'), EXPERTS_USED, vocabulary.tokens.length, EXPERTS)
        : weights.vector(`blk.${layer}.exp_probs_b.bias`, [EXPERTS], 0, 0.1),
      weights.matrix(name('ffn_gate_exps'), [WIDTH, EXPERT_WIDTH, EXPERTS]),
      weights.matrix(name('ffn_up_exps'), [WIDTH, EXPERT_WIDTH, EXPERTS]),
      weights.writer(name('ffn_down_exps'), [EXPERT_WIDTH, WIDTH, EXPERTS], 1),
      weights.matrix(name('ffn_gate_shexp'), [WIDTH, EXPERT_WIDTH]),
      weights.matrix(name('ffn_up_shexp'), [WIDTH, EXPERT_WIDTH]),
      weights.writer(name('ffn_down_shexp'), [EXPERT_WIDTH, WIDTH], 1),
    )
  })
  return {
    metadata: {
      'general.architecture': { type: 'string', value: 'deepseek4' },
      'general.name': { type: 'string', value: 'Headrace deepseek4 fixture' },
      'general.description': { type: 'string', value: 'Random weights, for tests' },
      'general.license': { type: 'string', value: 'apache-2.0' },
      'general.file_type': { type: 'uint32', value: 1 },
      'deepseek4.block_count': { type: 'uint32', value: COMPRESS_RATIOS.length },
      'deepseek4.context_length': { type: 'uint32', value: CONTEXT_TOKENS },
      'deepseek4.embedding_length': { type: 'uint32', value: WIDTH },
      'deepseek4.vocab_size': { type: 'uint32', value: vocabulary.tokens.length },
      'deepseek4.attention.head_count': { type: 'uint32', value: HEADS },
      'deepseek4.attention.head_count_kv': { type: 'uint32', value: 1 },
      'deepseek4.attention.key_length': { type: 'uint32', value: HEAD_WIDTH },
      'deepseek4.attention.value_length': { type: 'uint32', value: HEAD_WIDTH },
      'deepseek4.attention.layer_norm_rms_epsilon': { type: 'float32', value: 1e-6 },
      'deepseek4.attention.q_lora_rank': { type: 'uint32', value: QUERY_RANK },
      'deepseek4.attention.sliding_window': { type: 'uint32', value: WINDOW_TOKENS },
      'deepseek4.attention.output_group_count': { type: 'uint32', value: OUTPUT_GROUPS },
      'deepseek4.attention.output_lora_rank': { type: 'uint32', value: OUTPUT_RANK },
      'deepseek4.attention.compress_ratios': { type: 'array', of: 'uint32', value: COMPRESS_RATIOS },
      'deepseek4.attention.compress_rope_freq_base': { type: 'float32', value: 160_000 },
      'deepseek4.attention.indexer.head_count': { type: 'uint32', value: INDEXER_HEADS },
      'deepseek4.attention.indexer.key_length': { type: 'uint32', value: INDEXER_WIDTH },
      'deepseek4.attention.indexer.top_k': { type: 'uint32', value: INDEXER_TOP },
      'deepseek4.hyper_connection.count': { type: 'uint32', value: HYPER_CONNECTIONS },
      'deepseek4.hyper_connection.sinkhorn_iterations': { type: 'uint32', value: 20 },
      'deepseek4.hyper_connection.epsilon': { type: 'float32', value: 1e-6 },
      'deepseek4.hash_layer_count': { type: 'uint32', value: HASH_LAYERS },
      'deepseek4.expert_count': { type: 'uint32', value: EXPERTS },
      'deepseek4.expert_used_count': { type: 'uint32', value: EXPERTS_USED },
      'deepseek4.expert_shared_count': { type: 'uint32', value: 1 },
      'deepseek4.expert_feed_forward_length': { type: 'uint32', value: EXPERT_WIDTH },
      'deepseek4.expert_gating_func': { type: 'uint32', value: GATING_SQRT_SOFTPLUS },
      'deepseek4.expert_weights_norm': { type: 'bool', value: true },
      'deepseek4.expert_weights_scale': { type: 'float32', value: 1.5 },
      'deepseek4.swiglu_clamp_exp': { type: 'float32', value: 10 },
      'deepseek4.rope.dimension_count': { type: 'uint32', value: ROPE_WIDTH },
      'deepseek4.rope.freq_base': { type: 'float32', value: 10_000 },
      'tokenizer.ggml.model': { type: 'string', value: 'gpt2' },
      'tokenizer.ggml.pre': { type: 'string', value: 'deepseek-v3' },
      'tokenizer.ggml.tokens': { type: 'array', of: 'string', value: vocabulary.tokens.map(token => token.text) },
      'tokenizer.ggml.token_type': {
        type: 'array',
        of: 'int32',
        value: vocabulary.tokens.map(token => TOKEN_TYPE_CODE[token.kind]),
      },
      'tokenizer.ggml.merges': { type: 'array', of: 'string', value: vocabulary.merges },
      'tokenizer.ggml.bos_token_id': { type: 'uint32', value: vocabulary.idOf('<｜begin▁of▁sentence｜>') },
      'tokenizer.ggml.eos_token_id': { type: 'uint32', value: vocabulary.idOf('<｜end▁of▁sentence｜>') },
      'tokenizer.ggml.add_bos_token': { type: 'bool', value: true },
      'tokenizer.chat_template': { type: 'string', value: DEEPSEEK4_TEMPLATE },
    },
    tensors,
  }
}

/**
 * The tensors that pool `ratio` tokens into one entry of `width`. With ratio 4 the pools overlap, which takes two
 * projections side by side; `ape` adds a bias per position in the pool.
 */
function compressor(
  weights: WeightMaker,
  layer: number,
  owner: 'attn' | 'indexer',
  ratio: number,
  width: number,
): GgufTensor[] {
  const name = (part: string) => `blk.${layer}.${owner}_compressor_${part}.weight`
  const columns = ratio === 4 ? 2 * width : width
  return [
    weights.matrix(name('kv'), [WIDTH, columns]),
    weights.matrix(name('gate'), [WIDTH, columns]),
    weights.vector(name('ape'), [columns, ratio], 0, 0.3),
    weights.vector(name('norm'), [width], 1.5, 0.1),
  ]
}
