import { CHATML_TEMPLATE } from './fixtures-chat-templates.ts'
import { buildVocabulary, letterOfByte, TOKEN_TYPE_CODE } from './fixtures-vocabulary.ts'
import { WeightMaker } from './fixtures-weights.ts'
import type { GgufContent, GgufTensor } from './gguf-writer.ts'

const LAYERS = 2
const WIDTH = 128
const HEADS = 4
const KEY_VALUE_HEADS = 2
const HEAD_WIDTH = WIDTH / HEADS
const FEED_FORWARD_WIDTH = 256
const CONTEXT_TOKENS = 8192

/** The marks of a fill-in-the-middle prompt, in the order in which they stand in one. */
const FIM_TOKENS = ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>'] as const

/** The `llama` architecture in small: grouped-query attention, RoPE, SwiGLU, and a ChatML template with tools. */
export function llamaFixture(): GgufContent {
  return llama([])
}

/** The same with the tokens of fill-in-the-middle, which the header names by their ids. */
export function fimFixture(): GgufContent {
  return llama(FIM_TOKENS)
}

function llama(fim: readonly string[]): GgufContent {
  const vocabulary = buildVocabulary([
    { text: '<|begin|>', kind: 'control' },
    { text: '<|endoftext|>', kind: 'control' },
    { text: '<|im_start|>', kind: 'control' },
    { text: '<|im_end|>', kind: 'control' },
    // What a tool call opens with, likely enough that an answer given tools comes to call one, and what closes it, after
    // which the answer ends.
    { text: '<tool_call>', kind: 'markup', logitBias: 2, follower: letterOfByte(0x0a) },
    { text: '</tool_call>', kind: 'markup', logitBias: -3, follower: '<|im_end|>' },
    ...fim.map(text => ({ text, kind: 'control' as const })),
  ])
  const weights = new WeightMaker(1)
  const tensors: GgufTensor[] = [
    weights.embedding('token_embd.weight', WIDTH, vocabulary),
    weights.vector('output_norm.weight', [WIDTH], 1, 0),
    weights.output('output.weight', WIDTH, vocabulary, 2),
  ]
  for (let layer = 0; layer < LAYERS; layer++) {
    const name = (part: string) => `blk.${layer}.${part}.weight`
    tensors.push(
      weights.vector(name('attn_norm'), [WIDTH], 1, 0.1),
      // Queries and keys above unit size sharpen the attention, so that an answer depends on its whole prompt.
      weights.matrix(name('attn_q'), [WIDTH, HEADS * HEAD_WIDTH], { gain: 1.6 }),
      weights.matrix(name('attn_k'), [WIDTH, KEY_VALUE_HEADS * HEAD_WIDTH], { gain: 1.6 }),
      weights.matrix(name('attn_v'), [WIDTH, KEY_VALUE_HEADS * HEAD_WIDTH]),
      weights.writer(name('attn_output'), [HEADS * HEAD_WIDTH, WIDTH], 2),
      weights.vector(name('ffn_norm'), [WIDTH], 1, 0.1),
      weights.matrix(name('ffn_gate'), [WIDTH, FEED_FORWARD_WIDTH]),
      weights.matrix(name('ffn_up'), [WIDTH, FEED_FORWARD_WIDTH]),
      weights.writer(name('ffn_down'), [FEED_FORWARD_WIDTH, WIDTH], 2),
    )
  }
  return {
    metadata: {
      'general.architecture': { type: 'string', value: 'llama' },
      'general.name': { type: 'string', value: 'Headrace llama fixture' },
      'general.description': { type: 'string', value: 'Random weights, for tests' },
      'general.license': { type: 'string', value: 'apache-2.0' },
      'general.file_type': { type: 'uint32', value: 1 },
      'llama.block_count': { type: 'uint32', value: LAYERS },
      'llama.context_length': { type: 'uint32', value: CONTEXT_TOKENS },
      'llama.embedding_length': { type: 'uint32', value: WIDTH },
      'llama.feed_forward_length': { type: 'uint32', value: FEED_FORWARD_WIDTH },
      'llama.attention.head_count': { type: 'uint32', value: HEADS },
      'llama.attention.head_count_kv': { type: 'uint32', value: KEY_VALUE_HEADS },
      'llama.attention.layer_norm_rms_epsilon': { type: 'float32', value: 1e-5 },
      'llama.rope.dimension_count': { type: 'uint32', value: HEAD_WIDTH },
      'llama.rope.freq_base': { type: 'float32', value: 10_000 },
      'llama.vocab_size': { type: 'uint32', value: vocabulary.tokens.length },
      'tokenizer.ggml.model': { type: 'string', value: 'gpt2' },
      'tokenizer.ggml.pre': { type: 'string', value: 'qwen2' },
      'tokenizer.ggml.tokens': { type: 'array', of: 'string', value: vocabulary.tokens.map(token => token.text) },
      'tokenizer.ggml.token_type': {
        type: 'array',
        of: 'int32',
        value: vocabulary.tokens.map(token => TOKEN_TYPE_CODE[token.kind]),
      },
      'tokenizer.ggml.merges': { type: 'array', of: 'string', value: vocabulary.merges },
      'tokenizer.ggml.bos_token_id': { type: 'uint32', value: vocabulary.idOf('<|begin|>') },
      'tokenizer.ggml.eos_token_id': { type: 'uint32', value: vocabulary.idOf('<|endoftext|>') },
      'tokenizer.ggml.eot_token_id': { type: 'uint32', value: vocabulary.idOf('<|im_end|>') },
      'tokenizer.ggml.add_bos_token': { type: 'bool', value: false },
      ...Object.fromEntries(
        fim.map((text, index) => [
          `tokenizer.ggml.fim_${['pre', 'suf', 'mid'][index]}_token_id`,
          { type: 'uint32' as const, value: vocabulary.idOf(text) },
        ]),
      ),
      'tokenizer.chat_template': { type: 'string', value: CHATML_TEMPLATE },
    },
    tensors,
  }
}
