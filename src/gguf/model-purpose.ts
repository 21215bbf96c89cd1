import type { GgufValue } from './gguf-header.ts'

/** What a model file was made for. A model serves one purpose: what it needs of the engine differs. */
export type ModelPurpose = 'generate' | 'embed' | 'rerank'

/** How the vectors of an input's tokens become one (llama.h, `llama_pooling_type`, by its number). */
export type Pooling = 'none' | 'mean' | 'cls' | 'last' | 'rank'

const POOLINGS: readonly Pooling[] = ['none', 'mean', 'cls', 'last', 'rank']

/** Architectures that only read: llama.cpp has no generation for them, and no attention state that outlives a step. */
const ENCODERS: ReadonlySet<string> = new Set([
  'bert',
  'eurobert',
  'gemma-embedding',
  'jina-bert-v2',
  'jina-bert-v3',
  'modern-bert',
  'neo-bert',
  'nomic-bert',
  'nomic-bert-moe',
])

/** Pooling that the header names; undefined when it names none that llama.cpp knows. */
export function poolingOf(metadata: ReadonlyMap<string, GgufValue>): Pooling | undefined {
  const value = metadata.get(`${String(metadata.get('general.architecture'))}.pooling_type`)
  return typeof value === 'number' ? POOLINGS[value] : undefined
}

/** Whether the model is an encoder: it reads an input as a whole and keeps nothing of it. */
export function isEncoder(metadata: ReadonlyMap<string, GgufValue>): boolean {
  return ENCODERS.has(String(metadata.get('general.architecture')))
}

/**
 * The purpose that a model's header tells: its pooling type, which embedding models and rerankers have and others do not, or else an
 * architecture that cannot generate.
 */
export function purposeOf(metadata: ReadonlyMap<string, GgufValue>): ModelPurpose {
  const pooling = poolingOf(metadata)
  if (pooling === 'rank') return 'rerank'
  return (pooling !== undefined && pooling !== 'none') || isEncoder(metadata) ? 'embed' : 'generate'
}
