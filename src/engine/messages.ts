import type { ModelPurpose } from '../gguf/model-purpose.ts'
import type { AttemptEnd } from '../inference/event.ts'
import type { GenerationInput, Sampling } from '../inference/request.ts'
import type { WireEvent } from './wire-event.ts'

/** How one child loads its model. Everything a child knows of the world is in here. */
export interface ChildOptions {
  /** The model's public name, for the process title. */
  readonly name: string
  readonly modelPath: string
  readonly purpose: ModelPurpose
  /** How an embedding model's vectors are pooled where its file does not say. */
  readonly pooling?: 'mean'
  /** Projector that makes tokens of images; undefined: the model reads text only. */
  readonly projectorPath?: string
  /** Context tokens of each slot. */
  readonly slotTokens: number
  /** Sequences that are generated at the same time. */
  readonly slots: number
  readonly threads: number
  /** Tokens that one step of the native loop works on at most. */
  readonly batchTokens: number
  readonly gpuLayers: number
  readonly flashAttention: 'auto' | 'on' | 'off'
  /** Replaces the chat template of the model file. */
  readonly chatTemplate?: string
  /** Build of the binding. */
  readonly variant: 'default' | 'cuda' | 'vulkan'
  /** Folder whose `node_modules` holds the binding; undefined: the one that came along. */
  readonly libraryDir?: string
  /** Folder for saved prompt states; undefined: keep none. */
  readonly cacheDir?: string
  /** Bytes that saved prompt states may take together. */
  readonly cacheBytesMax: number
  /** Only prompts that bring at least this many tokens that no saved state covers are saved. */
  readonly cacheTokensMin: number
}

/** What the child found out about the model that it loaded. */
export interface LoadedModel {
  readonly architecture: string
  readonly description: string
  readonly parameters: number
  readonly contextTokens: number
  readonly slotTokens: number
  readonly purpose: ModelPurpose
  readonly chatTemplate: boolean
  readonly toolTemplate: boolean
  readonly vision: boolean
  /** Whether it fills in between a prompt and a suffix. */
  readonly fillsInTheMiddle: boolean
  /** True when a saved prompt state can only be continued at its end, never cut back. */
  readonly wholePrefixOnly: boolean
  readonly devices: readonly string[]
  readonly systemInfo: string
  readonly loadMs: number
}

/** One attempt, as it travels to the child. */
export interface RunMessage {
  readonly type: 'run'
  readonly id: number
  readonly input: GenerationInput
  readonly sampling: Sampling
  readonly n: number
  readonly outputTokensMax: number
  readonly cacheSalt: string
}

export type ToChild =
  | { readonly type: 'load'; readonly options: ChildOptions }
  | RunMessage
  | { readonly type: 'cancel'; readonly id: number }
  | { readonly type: 'count'; readonly id: number; readonly input: GenerationInput }

/** What happened to an attempt: an event, or its end. */
export type Happening = readonly [id: number, event: WireEvent | null, end?: AttemptEnd]

/** Gauges of the child's prompt cache, sent along with ends. */
export interface CacheStatus {
  readonly entries: number
  readonly bytes: number
  readonly hits: number
  readonly misses: number
  readonly savedTokens: number
  readonly evictions: number
}

export type FromChild =
  | { readonly type: 'loaded'; readonly model: LoadedModel }
  | { readonly type: 'load-failed'; readonly message: string }
  /** Everything that happened in one turn of the child's loop, in order: one message instead of one per token. */
  | { readonly type: 'happened'; readonly list: readonly Happening[]; readonly cache?: CacheStatus }
  | { readonly type: 'counted'; readonly id: number; readonly tokens: number }
  | { readonly type: 'count-failed'; readonly id: number; readonly message: string }
