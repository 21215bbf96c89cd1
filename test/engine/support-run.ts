import type { EngineUpstream } from '../../src/engine/engine-upstream.ts'
import type { AttemptEnd, FinishReason, InferenceEvent } from '../../src/inference/event.ts'
import type { GenerationInput, InferenceRequest, Sampling } from '../../src/inference/request.ts'
import type { Attempt, AttemptHandle } from '../../src/inference/upstream.ts'
import type { Usage } from '../../src/inference/usage.ts'

/** A chat with one user message, changed as wanted. */
export function chat(content: string, over: Partial<Extract<GenerationInput, { kind: 'chat' }>> = {}): GenerationInput {
  return {
    kind: 'chat',
    messages: [{ role: 'user', content }],
    tools: [],
    toolChoice: 'auto',
    responseFormat: { type: 'text' },
    ...over,
  }
}

export function text(...prompts: (string | readonly number[])[]): GenerationInput {
  return { kind: 'text', prompts, echo: false }
}

export function embed(...inputs: (string | readonly number[])[]): Extract<GenerationInput, { kind: 'embed' }> {
  return { kind: 'embed', inputs }
}

export function rank(query: string, ...documents: string[]): GenerationInput {
  return { kind: 'rerank', query, documents }
}

export interface Ask {
  readonly input?: GenerationInput
  readonly sampling?: Partial<Sampling>
  readonly n?: number
  readonly outputTokensMax?: number
  readonly salt?: string
  readonly model?: string
  /** Called for every event, with the reins. */
  readonly watch?: (event: InferenceEvent, handle: AttemptHandle) => void
}

export interface Answer {
  readonly events: readonly InferenceEvent[]
  readonly end: AttemptEnd
  /** Content of each choice. */
  readonly texts: readonly string[]
  readonly reasons: readonly FinishReason[]
  readonly usage: Usage | undefined
  /** By the index of their input. */
  readonly vectors: readonly Float32Array[]
  /** By the index of their document. */
  readonly scores: readonly number[]
  /** Sum of the tokens of all deltas. */
  readonly deltaTokens: number
  readonly msToFirstToken: number
}

export function request(ask: Ask): InferenceRequest {
  return {
    id: 'req_test',
    protocol: 'openai-chat',
    model: 'm',
    stream: true,
    includeUsage: true,
    input: ask.input ?? chat('Say something.'),
    sampling: { stop: [], temperature: 0, ...ask.sampling },
    n: ask.n ?? 1,
    body: {},
    inputTokensBound: 1_000_000,
  }
}

function attempt(ask: Ask): Attempt {
  return {
    request: request(ask),
    upstreamModel: ask.model ?? 'm',
    publicModel: 'm',
    outputTokensMax: ask.outputTokensMax ?? 16,
    cacheSalt: ask.salt ?? 'org-a',
    passthrough: false,
  }
}

/** Runs an attempt to its end and checks what every attempt must keep to. */
export function run(engine: EngineUpstream, ask: Ask = {}): Promise<Answer> & { readonly handle: AttemptHandle } {
  const events: InferenceEvent[] = []
  const begunMs = performance.now()
  let firstMs = Number.NaN
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  let ended = false
  const handle: AttemptHandle = engine.run(attempt(ask), {
    onEvent(event) {
      if (ended) reject(new Error(`${event.type} after the end`))
      if (event.type === 'delta' && Number.isNaN(firstMs)) firstMs = performance.now() - begunMs
      events.push(event)
      ask.watch?.(event, handle)
    },
    onEnd(end) {
      if (ended) reject(new Error('two ends'))
      ended = true
      const texts: string[] = []
      const reasons: FinishReason[] = []
      const vectors: Float32Array[] = []
      const scores: number[] = []
      let deltaTokens = 0
      let usage: Usage | undefined
      for (const event of events) {
        if (event.type === 'delta') {
          texts[event.choice] = (texts[event.choice] ?? '') + (event.content ?? '')
          deltaTokens += event.tokens
        }
        if (event.type === 'embedding') vectors[event.index] = event.vector
        if (event.type === 'score') scores[event.index] = event.score
        if (event.type === 'finish') reasons[event.choice] = event.reason
        if (event.type === 'usage') usage = event.usage
      }
      resolve({ events, end, texts, reasons, vectors, scores, usage, deltaTokens, msToFirstToken: firstMs })
    },
  })
  return Object.assign(promise, { handle })
}

/** About `count` words of the fixtures' vocabulary, different for each `variant`. */
export function words(count: number, variant = 0): string {
  const list = ['water', 'time', 'could', 'about', 'under', 'deep', 'there', 'which', 'little', 'only']
  return Array.from({ length: count }, (_, index) => list[(index * (variant + 3) + (index >> 2)) % list.length]).join(
    ' ',
  )
}
