import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type * as Library from '@fugood/llama.node'
import type { ModelInfo } from '@fugood/llama.node'
import type { ModelPurpose } from '../gguf/model-purpose.ts'

/** The binding's package: the one that came along, or one that the operator installed elsewhere for a GPU build. */
export async function importLibrary(libraryDir: string | undefined): Promise<typeof Library> {
  const name = '@fugood/llama.node'
  if (libraryDir === undefined) return import(name)
  const found = createRequire(join(libraryDir, 'package.json')).resolve(name)
  return import(pathToFileURL(found).href)
}

/** The part of the binding's queued-completion options that we use, under the binding's names. */
export interface NativeOptions {
  prompt?: string
  messages?: readonly object[]
  jinja?: boolean
  chat_template?: string
  tools?: readonly object[]
  tool_choice?: string
  parallel_tool_calls?: boolean
  response_format?: object
  reasoning_format?: string
  enable_thinking?: boolean
  chat_template_kwargs?: Readonly<Record<string, string>>
  grammar?: string
  n_predict?: number
  temperature?: number
  top_k?: number
  top_p?: number
  min_p?: number
  penalty_freq?: number
  penalty_present?: number
  penalty_repeat?: number
  xtc_probability?: number
  dry_multiplier?: number
  seed?: number
  stop?: readonly string[]
  n_probs?: number
  load_state_path?: string
  load_state_size?: number
  save_prompt_state_path?: string
  /** Images as data: URLs, one for each mark in the prompt. */
  media_paths?: readonly string[]
}

/** A tool call as the binding's parser reports it. */
export interface NativeToolCall {
  readonly id?: string
  readonly function: { readonly name: string; readonly arguments: string }
}

/** One token, or rather the text that became complete with it: tokens that only start a character are not called back. */
export interface NativeToken {
  readonly requestId: number
  readonly token: string
  readonly probs?: readonly { readonly tok: number; readonly prob: number }[]
  readonly content?: string
  readonly reasoning_content?: string
  readonly tool_calls?: readonly NativeToolCall[]
}

/** The result of a queued completion. */
export interface NativeResult {
  readonly requestId: number
  readonly token?: undefined
  readonly text: string
  readonly content?: string
  readonly reasoning_content?: string
  readonly tool_calls?: readonly NativeToolCall[]
  readonly stopped_eos: boolean
  readonly stopped_limit: boolean
  readonly stopped_word: boolean
  readonly context_full: boolean
  /** Output tokens, despite the name. `tokens_predicted` beside it keeps counting on after a cancelled predecessor in the slot. */
  readonly tokens_evaluated: number
  readonly timings: { readonly cache_n: number; readonly prompt_n: number; readonly prompt_ms: number }
}

/** A chat after the model's template was applied. */
export interface FormattedChat {
  readonly prompt: string
  readonly chat_format: number
  readonly grammar?: string
  readonly generation_prompt?: string
  readonly thinking_forced_open?: boolean
  readonly thinking_start_tag?: string
  readonly thinking_end_tag?: string
  readonly additional_stops?: readonly string[]
}

/** A loaded model with its slots, as thin a layer over the native object as types allow. */
export interface Binding {
  readonly info: ModelInfo
  readonly systemInfo: string
  readonly devices: readonly string[]
  format(messages: readonly object[], params: object): FormattedChat
  /** With images, one for each mark in the text; their tokens have no id. Rejects when an image cannot be read. */
  tokenize(text: string, images?: readonly string[]): Promise<Int32Array>
  detokenize(tokens: readonly number[]): Promise<string>
  /** Throws when an option is wrong. The callback runs once per completed piece of text and once with the result. */
  queue(options: NativeOptions, callback: (error: unknown, data: NativeToken | NativeResult) => void): number
  /** Reads a text, with the tokenizer's marks around it, and calls back with its vector at length 1. For embedding models. */
  embed(text: string, callback: (error: unknown, vector: readonly number[]) => void): number
  /** Reads a query with one document and calls back with the score of the model's head. For rerankers. */
  rerank(query: string, document: string, callback: (error: unknown, score: number) => void): number
  /** Stops a request at once. Its callback is not called again, not even with a result. */
  cancel(requestId: number): void
  /** Forgets what the slots still hold of earlier requests; false while any of them works. */
  forget(): boolean
  /** Tokens generated so far by a request that is in a slot. */
  tokensGenerated(requestId: number): number | undefined
}

/** What the native object offers; the package's own types leave out some of the arguments. */
interface NativeContext {
  getFormattedChat(messages: readonly object[], template: string | undefined, params: object): FormattedChat | string
  queueCompletion(
    options: NativeOptions,
    callback: (error: unknown, data: NativeToken | NativeResult) => void,
  ): { requestId: number }
  queueEmbedding(
    text: string,
    params: { embd_normalize: number },
    callback: (error: unknown, data: { embedding: readonly number[] }) => void,
  ): { requestId: number }
  queueRerank(
    query: string,
    documents: readonly string[],
    params: object,
    callback: (error: unknown, data: { results: readonly { score: number }[] }) => void,
  ): { requestId: number }
  cancelRequest(requestId: number): void
  initMultimodal(options: { path: string; use_gpu: boolean }): boolean
  clearCache(data: boolean): void
  getParallelStatus(): {
    active_slots: number
    queued_requests: number
    requests: readonly { request_id: number; tokens_generated: number }[]
  }
}

/** llama.cpp's number for a vector of length 1 (common.h, `common_embd_normalize`). */
const EUCLIDEAN = 2

/** Loads a model with parallel slots. The call blocks the thread while weights are read. */
export async function loadBinding(
  library: typeof Library,
  options: {
    variant: 'default' | 'cuda' | 'vulkan'
    modelPath: string
    purpose: ModelPurpose
    pooling?: 'mean'
    projectorPath?: string
    slotTokens: number
    slots: number
    threads: number
    batchTokens: number
    gpuLayers: number
    flashAttention: 'auto' | 'on' | 'off'
    chatTemplate?: string
  },
): Promise<Binding> {
  const context = await library.loadModel({
    model: options.modelPath,
    lib_variant: options.variant,
    // The binding shares `n_ctx` out over the slots.
    n_ctx: options.slotTokens * options.slots,
    n_parallel: options.slots,
    n_batch: options.batchTokens,
    n_ubatch: options.batchTokens,
    n_threads: options.threads,
    n_gpu_layers: options.gpuLayers,
    flash_attn_type: options.flashAttention,
    chat_template: options.chatTemplate,
    ...(options.purpose === 'generate'
      ? {}
      : {
          embedding: true,
          // One pool of state for all: sequences of different lengths then go through the model in one piece, as pooling needs.
          kv_unified: true,
          ...(options.pooling === undefined ? {} : { pooling_type: options.pooling }),
        }),
    use_mmap: true,
    // The cache of the non-parallel path, which is never used here.
    state_cache_budget_mb: 0,
  })
  if (options.projectorPath !== undefined) {
    const taken = (context.ctx as NativeContext).initMultimodal({
      path: options.projectorPath,
      use_gpu: options.gpuLayers > 0,
    })
    if (!taken) throw new Error('The projector beside the model could not be loaded.')
  }
  await context.parallel.enable({ n_parallel: options.slots, n_batch: options.batchTokens })
  const native = context.ctx as unknown as NativeContext
  const info = context.getModelInfo()
  const jinja =
    info.chatTemplates.jinja.default || info.chatTemplates.jinja.toolUse || options.chatTemplate !== undefined
  return {
    info,
    systemInfo: context.getSystemInfo(),
    devices: context.getUsedDevices(),
    format(messages, params) {
      const formatted = native.getFormattedChat(messages, options.chatTemplate, { jinja, ...params })
      return typeof formatted === 'string' ? { prompt: formatted, chat_format: 0 } : formatted
    },
    tokenize: async (text, images) =>
      (await context.tokenize(text, images === undefined ? undefined : { media_paths: images })).tokens,
    detokenize: tokens => context.detokenize([...tokens]),
    queue: (queued, callback) => native.queueCompletion(queued, callback).requestId,
    embed: (text, callback) =>
      native.queueEmbedding(text, { embd_normalize: EUCLIDEAN }, (error, data) =>
        callback(error, data?.embedding ?? []),
      ).requestId,
    rerank: (query, document, callback) =>
      native.queueRerank(query, [document], {}, (error, data) => callback(error, data?.results[0]?.score ?? Number.NaN))
        .requestId,
    cancel: requestId => native.cancelRequest(requestId),
    forget() {
      const { active_slots: active, queued_requests: queued } = native.getParallelStatus()
      if (active + queued > 0) return false
      native.clearCache(false)
      return true
    },
    tokensGenerated(requestId) {
      for (const request of native.getParallelStatus().requests) {
        if (request.request_id === requestId) return request.tokens_generated
      }
      return undefined
    },
  }
}
