import type { Protocol } from '../inference/request.ts'

/** What all frames of an answer share. */
export interface FrameHead {
  /** Upstreams speak text completions, and for all else chat. */
  readonly protocol: Protocol
  readonly id: string
  readonly model: string
}

const CREATED_S = 1_780_000_000

/** The frame that opens a choice; a text completion has none that says anything, so it opens with an empty text. */
export function roleFrame(head: FrameHead, choice: number): Uint8Array {
  return frame(head, choice, { role: 'assistant', content: '' }, '', null)
}

/** A frame of generated text. */
export function textFrame(head: FrameHead, choice: number, text: string): Uint8Array {
  return frame(head, choice, { content: text }, text, null)
}

/** The frame that ends a choice. */
export function finishFrame(head: FrameHead, choice: number, reason: 'stop' | 'length'): Uint8Array {
  return frame(head, choice, {}, '', reason)
}

/** The frame that carries usage, given as JSON text, in a stream that was asked for it. */
export function usageFrame(head: FrameHead, usageJson: string): Uint8Array {
  return Buffer.from(`data: ${prefix(head)}"choices":[],"usage":${usageJson}}\n\n`)
}

/** A whole answer in one JSON body. */
export function answerBody(head: FrameHead, texts: readonly string[], finish: string, usageJson: string): Uint8Array {
  const chat = !isText(head.protocol)
  const choices = texts.map((text, index) =>
    chat
      ? { index, message: { role: 'assistant', content: text }, finish_reason: finish }
      : { index, text, logprobs: null, finish_reason: finish },
  )
  const object = chat ? 'chat.completion' : 'text_completion'
  return Buffer.from(`${prefix(head, object)}"choices":${JSON.stringify(choices)},"usage":${usageJson}}`)
}

/** A `usage` object as OpenAI writes it. */
export function usageText(inputTokens: number, cachedTokens: number, outputTokens: number): string {
  return (
    `{"prompt_tokens":${inputTokens},"completion_tokens":${outputTokens},"total_tokens":${inputTokens + outputTokens}` +
    `,"prompt_tokens_details":{"cached_tokens":${cachedTokens}}}`
  )
}

function frame(head: FrameHead, index: number, delta: object, text: string, finish: string | null): Uint8Array {
  const body = isText(head.protocol) ? { index, text, logprobs: null } : { index, delta }
  return Buffer.from(`data: ${prefix(head)}"choices":[${JSON.stringify({ ...body, finish_reason: finish })}]}\n\n`)
}

function prefix(
  { protocol, id, model }: FrameHead,
  object: string = isText(protocol) ? 'text_completion' : 'chat.completion.chunk',
): string {
  return `{"id":${JSON.stringify(id)},"object":"${object}","created":${CREATED_S},"model":${JSON.stringify(model)},`
}

function isText(protocol: Protocol): boolean {
  return protocol === 'openai-completions'
}
