/**
 * The part of `@fugood/llama.node` that we use. The package ships its TypeScript sources where its types should be, and those do not
 * pass our compiler's settings; tsconfig.json points the package's name here.
 */

/** What is known of a loaded model. */
export interface ModelInfo {
  readonly desc: string
  readonly nParams: number
  readonly size: number
  readonly is_recurrent: boolean
  readonly is_hybrid: boolean
  readonly chatTemplates: {
    readonly llamaChat: boolean
    readonly jinja: {
      readonly default: boolean
      readonly defaultCaps: TemplateCapabilities
      readonly toolUse: boolean
      readonly toolUseCaps?: TemplateCapabilities
    }
  }
  readonly metadata: Readonly<Record<string, string>>
}

/** What a chat template has a place for. */
export interface TemplateCapabilities {
  readonly tools: boolean
  readonly toolCalls: boolean
  readonly systemRole: boolean
  readonly parallelToolCalls: boolean
}

/** How to load a model; the package's documentation has the meaning of each option. */
export interface LoadOptions {
  readonly model: string
  readonly lib_variant?: 'default' | 'cuda' | 'vulkan'
  readonly n_ctx?: number
  readonly n_parallel?: number
  readonly n_batch?: number
  readonly n_ubatch?: number
  readonly n_threads?: number
  readonly n_gpu_layers?: number
  readonly flash_attn_type?: 'auto' | 'on' | 'off'
  readonly chat_template?: string
  readonly embedding?: boolean
  readonly kv_unified?: boolean
  readonly pooling_type?: 'none' | 'mean' | 'cls' | 'last' | 'rank'
  readonly use_mmap?: boolean
  readonly state_cache_budget_mb?: number
}

/** What a loaded model offers. */
export interface LlamaModel {
  /** The native object, whose queue takes more options than the package's types name. */
  readonly ctx: unknown
  readonly parallel: {
    enable(options: { n_parallel: number; n_batch: number }): Promise<boolean>
    completion(
      options: object,
      onToken?: (requestId: number, token: { token: string }) => void,
    ): Promise<{ requestId: number; promise: Promise<unknown>; stop(): void }>
  }
  getModelInfo(): ModelInfo
  getSystemInfo(): string
  getUsedDevices(): string[]
  getFormattedChat(messages: readonly object[], template?: string, params?: object): Promise<Record<string, unknown>>
  tokenize(text: string, options?: { media_paths: readonly string[] }): Promise<{ tokens: Int32Array }>
  detokenize(tokens: number[]): Promise<string>
  release(): Promise<void>
}

/** Loads a model; blocks the thread while weights are read. */
export declare function loadModel(options: LoadOptions): Promise<LlamaModel>

/** Reads a model file's metadata without its weights; null when it is none. */
export declare function loadLlamaModelInfo(path: string): Promise<object | null>
