import { WeightMaker } from './fixtures-weights.ts'
import type { GgufContent, GgufTensor } from './gguf-writer.ts'

const LAYERS = 2
const WIDTH = 32
const HEADS = 4
const FEED_FORWARD_WIDTH = 64
const IMAGE_PIXELS = 32
const PATCH_PIXELS = 8
/** Width of the `llama` fixture, whose images it makes. */
const MODEL_WIDTH = 128

/**
 * A projector of images for the `llama` fixture: a small vision transformer and LLaVA's projection. Names and shapes are those that
 * llama.cpp's `clip.cpp` loads for the projector type `mlp`. An image becomes 16 tokens.
 */
export function projectorFixture(): GgufContent {
  const weights = new WeightMaker(9)
  const patches = (IMAGE_PIXELS / PATCH_PIXELS) ** 2
  const tensors: GgufTensor[] = [
    weights.vector('v.class_embd', [WIDTH], 0, 0.3),
    weights.vector('v.position_embd.weight', [WIDTH, patches + 1], 0, 0.3),
    weights.vector('v.patch_embd.weight', [PATCH_PIXELS, PATCH_PIXELS, 3, WIDTH], 0, 0.1),
    ...norm(weights, 'v.pre_ln'),
    ...linear(weights, 'mm.0', WIDTH, MODEL_WIDTH),
    ...linear(weights, 'mm.2', MODEL_WIDTH, MODEL_WIDTH),
  ]
  for (let layer = 0; layer < LAYERS; layer++) {
    const name = (part: string) => `v.blk.${layer}.${part}`
    for (const part of ['attn_q', 'attn_k', 'attn_v', 'attn_out'])
      tensors.push(...linear(weights, name(part), WIDTH, WIDTH))
    tensors.push(
      ...linear(weights, name('ffn_up'), WIDTH, FEED_FORWARD_WIDTH),
      ...linear(weights, name('ffn_down'), FEED_FORWARD_WIDTH, WIDTH),
      ...norm(weights, name('ln1')),
      ...norm(weights, name('ln2')),
    )
  }
  return {
    metadata: {
      'general.architecture': { type: 'string', value: 'clip' },
      'general.type': { type: 'string', value: 'mmproj' },
      'general.name': { type: 'string', value: 'Headrace projector fixture' },
      'general.file_type': { type: 'uint32', value: 1 },
      'clip.has_vision_encoder': { type: 'bool', value: true },
      'clip.projector_type': { type: 'string', value: 'mlp' },
      'clip.use_gelu': { type: 'bool', value: true },
      'clip.vision.image_size': { type: 'uint32', value: IMAGE_PIXELS },
      'clip.vision.patch_size': { type: 'uint32', value: PATCH_PIXELS },
      'clip.vision.embedding_length': { type: 'uint32', value: WIDTH },
      'clip.vision.feed_forward_length': { type: 'uint32', value: FEED_FORWARD_WIDTH },
      'clip.vision.projection_dim': { type: 'uint32', value: MODEL_WIDTH },
      'clip.vision.block_count': { type: 'uint32', value: LAYERS },
      'clip.vision.attention.head_count': { type: 'uint32', value: HEADS },
      'clip.vision.attention.layer_norm_epsilon': { type: 'float32', value: 1e-5 },
      'clip.vision.image_mean': { type: 'array', of: 'float32', value: [0.5, 0.5, 0.5] },
      'clip.vision.image_std': { type: 'array', of: 'float32', value: [0.5, 0.5, 0.5] },
    },
    tensors,
  }
}

/** Weights and bias of `y = W x + b`. */
function linear(weights: WeightMaker, name: string, inputs: number, outputs: number): GgufTensor[] {
  return [weights.matrix(`${name}.weight`, [inputs, outputs]), weights.vector(`${name}.bias`, [outputs], 0, 0.1)]
}

function norm(weights: WeightMaker, name: string): GgufTensor[] {
  return [weights.vector(`${name}.weight`, [WIDTH], 1, 0.1), weights.vector(`${name}.bias`, [WIDTH], 0, 0.1)]
}
