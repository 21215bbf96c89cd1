import { statSync } from 'node:fs'
import { readGgufHeader } from '../gguf/gguf-header.ts'
import { isEncoder, type ModelPurpose, type Pooling, poolingOf, purposeOf } from '../gguf/model-purpose.ts'

/** Bytes that a model is expected to take once it is loaded. */
export interface MemoryPlan {
  readonly weightsBytes: number
  /** Attention state of all slots at full context. */
  readonly stateBytes: number
  /** Scratch space of one step, and the process itself. */
  readonly computeBytes: number
  /** Prompt states kept in a memory-backed folder. */
  readonly cacheBytes: number
  readonly totalBytes: number
}

/** The numbers of a GGUF head that memory depends on. Per-layer lists keep their length. */
export interface ModelShape {
  readonly layers: number
  readonly embedding: number
  readonly feedForward: number
  readonly heads: number
  /** Key and value elements per token, summed over layers. */
  readonly stateElements: number
  readonly vocabulary: number
  readonly contextTokens: number
}

/** A Node process with the native library, before any weights. Measured: 95 MiB resident. */
const PROCESS_BYTES = 100 * 2 ** 20
/** llama.cpp keeps keys and values in 16 bits. */
const STATE_ELEMENT_BYTES = 2

/** What a model file's head tells of how to run it. */
export interface ModelHead {
  readonly shape: ModelShape
  readonly purpose: ModelPurpose
  readonly pooling: Pooling | undefined
}

/** Reads the head of a model file, of a split model that of its first part. Rejects with `GgufError` when it is not GGUF. */
export async function readModelHead(path: string): Promise<ModelHead> {
  const { metadata } = readGgufHeader(path)
  const plain = [...metadata].map(([key, value]) => [key, typeof value === 'object' ? (value.numbers ?? value) : value])
  const shape = shapeOf(Object.fromEntries(plain))
  return {
    // An encoder keeps no state beyond a step.
    shape: isEncoder(metadata) ? { ...shape, stateElements: 0 } : shape,
    purpose: purposeOf(metadata),
    pooling: poolingOf(metadata),
  }
}

/** Derives the shape from GGUF metadata. */
export function shapeOf(metadata: Record<string, unknown>): ModelShape {
  const architecture = String(metadata['general.architecture'])
  const number = (key: string, otherwise: number): number => {
    const value = metadata[`${architecture}.${key}`]
    return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : otherwise
  }
  const layers = number('block_count', 1)
  const embedding = number('embedding_length', 1)
  const perLayer = (key: string, otherwise: number): number[] => {
    const value = metadata[`${architecture}.${key}`]
    if (Array.isArray(value)) return value.map(Number)
    return new Array(layers).fill(number(key, otherwise))
  }
  const headsPerLayer = perLayer('attention.head_count', 1)
  const heads = Math.max(1, ...headsPerLayer)
  const headsKv = perLayer('attention.head_count_kv', heads)
  const keyLength = number('attention.key_length', embedding / heads)
  const valueLength = number('attention.value_length', embedding / heads)
  const latent = number('attention.kv_lora_rank', 0)
  // Latent attention keeps one compressed vector and the rotary part for all heads (arXiv 2405.04434, section 2.1).
  const stateElements =
    latent > 0 && metadata[`${architecture}.attention.key_length_mla`] !== undefined
      ? layers * (latent + number('rope.dimension_count', 64))
      : headsKv.reduce((sum, count) => sum + count * (keyLength + valueLength), 0)
  const feedForward = Math.max(
    ...perLayer('feed_forward_length', 4 * embedding),
    number('expert_feed_forward_length', 0),
  )
  const tokens = metadata['tokenizer.ggml.tokens']
  // Vocabularies are passed over by the reader, which keeps their length.
  const vocabulary = (tokens as { length?: number } | undefined)?.length ?? number('vocab_size', 32_000)
  return {
    layers,
    embedding,
    feedForward,
    heads,
    stateElements,
    vocabulary,
    contextTokens: number('context_length', 4096),
  }
}

/** What a model of this shape takes, so that it can be refused before it is loaded rather than killed after. */
export function planMemory(
  shape: ModelShape,
  options: {
    weightsBytes: number
    slots: number
    slotTokens: number
    batchTokens: number
    flashAttention: boolean
    cacheBytes: number
  },
): MemoryPlan {
  const { slots, slotTokens, batchTokens } = options
  const stateBytes = shape.stateElements * STATE_ELEMENT_BYTES * slotTokens * slots
  // Largest tensors alive in one layer of a step, in 32-bit floats: attention scores (flash attention has none), the
  // widened feed-forward, a few copies of the embedding; and one row of logits per slot.
  const scores = options.flashAttention ? 0 : batchTokens * slotTokens * shape.heads
  const activations = batchTokens * (8 * shape.embedding + 3 * shape.feedForward)
  const logits = (slots + 1) * shape.vocabulary
  const computeBytes = 4 * (scores + activations + logits) + PROCESS_BYTES
  const totalBytes = options.weightsBytes + stateBytes + computeBytes + options.cacheBytes
  return { weightsBytes: options.weightsBytes, stateBytes, computeBytes, cacheBytes: options.cacheBytes, totalBytes }
}

/** Size of a model file, all parts of a split one (`-00001-of-00003.gguf`) together. Throws when a part is missing. */
export function weightsBytesOf(path: string): number {
  const split = /^(.*-)00001(-of-(\d{5})\.gguf)$/.exec(path)
  if (split === null) return statSync(path).size
  const [, before, after, parts] = split
  let bytes = 0
  for (let part = 1; part <= Number(parts); part++)
    bytes += statSync(`${before}${String(part).padStart(5, '0')}${after}`).size
  return bytes
}

/** Bytes that this machine, or its container, can still give. */
export function availableMemoryBytes(): number {
  return process.availableMemory()
}

/** Bytes in GiB with one decimal, for messages. */
export function gib(bytes: number): string {
  const value = bytes / 2 ** 30
  return `${value < 0.1 ? value.toFixed(3) : value.toFixed(1)} GiB`
}
