import type { Preferences } from './preferences.ts'

/** A public wire API that clients speak to us. */
export type Protocol =
  | 'openai-chat'
  | 'openai-completions'
  | 'openai-responses'
  | 'openai-embeddings'
  | 'anthropic-messages'
  | 'deepinfra-inference'
  | 'rerank'

/** A family of clients, whose conventions an answer follows where they differ: the shape of errors, fields of usage. */
export type Surface = 'openai' | 'anthropic' | 'deepinfra' | 'openrouter'

/** A JSON object as parsed; unknown fields stay in it and travel on. */
export type JsonObject = { [key: string]: unknown }

/** A function tool as OpenAI's chat wire declares it. */
export interface ToolDeclaration extends JsonObject {
  readonly type: 'function'
  readonly function: {
    readonly name: string
    readonly description?: string
    readonly parameters?: JsonObject
    readonly strict?: boolean | null
  }
}

/** One chat message, OpenAI shape: `content` is a string, typed parts, or null beside tool calls. */
export interface ChatMessage extends JsonObject {
  readonly role: 'developer' | 'system' | 'user' | 'assistant' | 'tool' | 'function'
  readonly content?: string | readonly JsonObject[] | null
}

/** `tool_choice` after validation. */
export type ToolChoice =
  | 'none'
  | 'auto'
  | 'required'
  | { readonly type: 'function'; readonly function: { readonly name: string } }

/** `response_format` after validation. */
export type ResponseFormat =
  | { readonly type: 'text' }
  | { readonly type: 'json_object' }
  | {
      readonly type: 'json_schema'
      readonly json_schema: { readonly name?: string; readonly schema: JsonObject; readonly strict?: boolean | null }
    }

/**
 * Sampling options shared by chat and text completions. `undefined` means the model's default;
 * bounds were checked by the protocol that decoded them.
 */
export interface Sampling {
  readonly temperature?: number
  readonly topP?: number
  readonly topK?: number
  readonly minP?: number
  readonly frequencyPenalty?: number
  readonly presencePenalty?: number
  readonly repetitionPenalty?: number
  /** Any integer; equal seed, prompt and options give the same answer where the engine can promise it. */
  readonly seed?: number
  /** At most 16 sequences; the answer ends before the first that occurs. */
  readonly stop: readonly string[]
  /** Token id (as decimal string) to bias in [-100, 100]. */
  readonly logitBias?: Readonly<Record<string, number>>
  readonly ignoreEos?: boolean
  /** Number of alternatives wanted per output token, 0-20; undefined when log probabilities were not asked for. */
  readonly topLogprobs?: number
}

/** What to work on: a chat or plain prompts (text or token ids) to go on from, texts to embed, documents to rank. */
export type GenerationInput =
  | {
      readonly kind: 'chat'
      readonly messages: readonly ChatMessage[]
      readonly tools: readonly ToolDeclaration[]
      readonly toolChoice: ToolChoice
      readonly parallelToolCalls?: boolean
      readonly responseFormat: ResponseFormat
      /** As the client said it (`none`, `minimal`, ... `max`); undefined when unsaid. */
      readonly reasoningEffort?: string
      readonly chatTemplateKwargs?: Readonly<Record<string, unknown>>
      /** The last message is the assistant's and begins the answer, which goes on from there and does not repeat it. */
      readonly continuesLast?: boolean
    }
  | {
      readonly kind: 'text'
      readonly prompts: readonly (string | readonly number[])[]
      readonly echo: boolean
      readonly suffix?: string
    }
  | {
      /** One vector for each input, text or token ids. */
      readonly kind: 'embed'
      readonly inputs: readonly (string | readonly number[])[]
      /** Length that the client wants the vectors to have; undefined: the model's own. */
      readonly dimensions?: number
    }
  | {
      /** One relevance score for each document. */
      readonly kind: 'rerank'
      readonly query: string
      readonly documents: readonly string[]
    }

/**
 * What a client asked for, decoded and validated once, immutable from then on. One request has one id,
 * one hold and one settlement, however many attempts it takes.
 */
export interface InferenceRequest {
  /** `req_` and 26 characters; also the `x-request-id` of the answer. */
  readonly id: string
  readonly protocol: Protocol
  /** The model id as the client wrote it. */
  readonly model: string
  /** Other models, best first, for when the one before cannot serve the request. */
  readonly fallbackModels?: readonly string[]
  /** Where it is to run; absent: the client does not mind. */
  readonly preferences?: Preferences
  readonly stream: boolean
  /** False only when the client said `stream_options.include_usage: false`. */
  readonly includeUsage: boolean
  readonly input: GenerationInput
  readonly sampling: Sampling
  /** Choices to generate per prompt (`n`), 1-128. */
  readonly n: number
  /** Most output tokens per choice that the client allows; undefined when unsaid. */
  readonly outputTokensMax?: number
  /** `service_tier` as the client said it; what it means depends on the price. Undefined when unsaid. */
  readonly serviceTier?: string
  /** Opaque hint that requests sharing it share a prefix (`prompt_cache_key`, else `user`). */
  readonly cacheKey?: string
  /** Prompt caches are kept apart by it within an org (`user_id`), at most 512 characters; absent: one cache for the org. */
  readonly cacheScope?: string
  /** True when the client wants no reasoning in the answer; it is billed all the same. */
  readonly hidesReasoning?: boolean
  /** The customer's own name for whom it is made (`safety_identifier`, `user`, `metadata.user_id`), at most 128 characters. */
  readonly endUserId?: string
  /**
   * The request as upstreams get it, in OpenAI's wire form: the client's own body where that is what the client speaks, so that unknown
   * fields survive the trip, else what its protocol was translated to.
   */
  readonly body: JsonObject
  /** Absent: `openai`. */
  readonly surface?: Surface
  /** What of the request could not be carried over into the form that it runs in; named in a header of the answer. */
  readonly dropped?: readonly string[]
  /** The client's own body, where `body` is a translation of it; then no frame of an upstream can pass on as it came. */
  readonly sent?: JsonObject
  /** Safe upper bound of the input tokens, from the bytes: no tokenizer makes more tokens than bytes plus template overhead. */
  readonly inputTokensBound: number
}
