import { ERRORS } from '../errors.ts'
import { SseParser } from '../wire/sse-parser.ts'
import { CliError, EXIT } from './cli-error.ts'

/** Where a chat goes. */
export interface ChatTarget {
  /** Up to and with `/v1`. */
  readonly baseUrl: string
  readonly key: string
  readonly model: string
  readonly outputTokensMax: number | null
}

/** One turn of a chat. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

/** A whole answer. */
export interface ChatAnswer {
  /** Of the header `x-request-id`; null when another server left it out. */
  readonly requestId: string | null
  readonly content: string
  readonly reasoning: string
  /** Null when the stream was stopped. */
  readonly finishReason: string | null
  readonly inputTokens: number | null
  readonly cachedInputTokens: number | null
  readonly outputTokens: number | null
  /** Dollars as the usage frame has them; null when it has none. */
  readonly cost: number | null
  readonly ttftMs: number | null
  /** Output tokens per second after the first one; null under two tokens. */
  readonly tokensPerSecond: number | null
}

const FRAME_BYTES_MAX = 16 * 1024 * 1024

/** Sends the messages and hands on what comes back, piece by piece. An aborted signal ends the answer where it is. */
export async function streamChat(
  target: ChatTarget,
  messages: readonly ChatMessage[],
  signal: AbortSignal,
  monotonicMs: () => number,
  onText: (text: string, kind: 'content' | 'reasoning') => void,
): Promise<ChatAnswer> {
  const sentMs = monotonicMs()
  const answer = { content: '', reasoning: '', finishReason: null as string | null }
  let usage: UsageFrame | null = null
  let firstMs: number | null = null
  let lastMs = sentMs
  let requestId: string | null = null
  try {
    const response = await post(target, messages, signal)
    requestId = response.headers.get('x-request-id')
    if (!response.ok) throw await refusal(response)
    for await (const frame of frames(response)) {
      if (frame.error !== undefined) throw chatError(frame.error.message ?? 'The answer broke off.', frame.error.code)
      const choice = frame.choices?.[0]
      const reasoning = choice?.delta?.reasoning_content ?? choice?.delta?.reasoning ?? ''
      const content = `${choice?.delta?.content ?? ''}${choice?.delta?.refusal ?? ''}`
      if (reasoning !== '' || content !== '') {
        lastMs = monotonicMs()
        firstMs ??= lastMs
      }
      if (reasoning !== '') onText(reasoning, 'reasoning')
      if (content !== '') onText(content, 'content')
      answer.reasoning += reasoning
      answer.content += content
      answer.finishReason = choice?.finish_reason ?? answer.finishReason
      usage = frame.usage ?? usage
    }
  } catch (error) {
    if (!signal.aborted) throw brokenOff(error)
  }
  const outputTokens = usage?.completion_tokens ?? null
  const decodeMs = firstMs === null ? 0 : lastMs - firstMs
  return {
    requestId,
    ...answer,
    inputTokens: usage?.prompt_tokens ?? null,
    cachedInputTokens: usage?.prompt_tokens_details?.cached_tokens ?? null,
    outputTokens,
    cost: usage?.estimated_cost ?? null,
    ttftMs: firstMs === null ? null : firstMs - sentMs,
    tokensPerSecond:
      outputTokens === null || outputTokens < 2 || decodeMs <= 0 ? null : ((outputTokens - 1) / decodeMs) * 1000,
  }
}

interface UsageFrame {
  readonly prompt_tokens?: number
  readonly completion_tokens?: number
  readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null
  readonly estimated_cost?: number
}

interface ChatFrame {
  readonly choices?: readonly {
    readonly delta?: {
      readonly content?: string | null
      readonly refusal?: string | null
      readonly reasoning?: string | null
      readonly reasoning_content?: string | null
    }
    readonly finish_reason?: string | null
  }[]
  readonly usage?: UsageFrame | null
  readonly error?: { readonly message?: string; readonly code?: string | null }
}

async function post(target: ChatTarget, messages: readonly ChatMessage[], signal: AbortSignal): Promise<Response> {
  const body = {
    model: target.model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
    ...(target.outputTokensMax === null ? {} : { max_tokens: target.outputTokensMax }),
  }
  try {
    return await fetch(`${target.baseUrl}/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${target.key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    })
  } catch (error) {
    if (signal.aborted) throw error
    const cause = (error as Error).cause as Error | undefined
    throw new CliError(`${target.baseUrl} cannot be reached: ${cause?.message ?? (error as Error).message}`, {
      cure: 'Is the server running there? Look with: npx headrace doctor',
      exitCode: EXIT.unreachable,
      cause: error,
    })
  }
}

async function* frames(response: Response): AsyncGenerator<ChatFrame> {
  const parser = new SseParser({ frameBytesMax: FRAME_BYTES_MAX })
  for await (const chunk of response.body ?? []) {
    parser.push(Buffer.from(chunk))
    while (parser.next()) {
      const data = parser.dataBytes.toString('utf8', parser.dataStart, parser.dataEnd)
      if (data === '[DONE]') return
      yield parseFrame(data)
    }
  }
}

function parseFrame(data: string): ChatFrame {
  try {
    return JSON.parse(data)
  } catch {
    throw new CliError('The server sent a frame that is not JSON.', {
      cure: 'Does the URL lead to an OpenAI-compatible API?',
    })
  }
}

async function refusal(response: Response): Promise<CliError> {
  const text = await response.text()
  try {
    const { error } = JSON.parse(text) as ChatFrame
    if (typeof error?.message === 'string') return chatError(error.message, error.code)
  } catch {
    // Not our form of an error; told as it is.
  }
  return new CliError(`The server answered ${response.status}: ${text.slice(0, 200).trim()}`)
}

/** fetch says `terminated` or `other side closed`, which tells a person nothing. */
function brokenOff(error: unknown): unknown {
  if (error instanceof CliError || !(error instanceof TypeError)) return error
  return new CliError('The connection broke off before the answer was whole.', {
    cure: 'Ask again; if it happens again, look at the log of the server.',
    cause: error,
  })
}

function chatError(message: string, code: string | null | undefined): CliError {
  return new CliError(message, {
    cure: code !== null && code !== undefined && code in ERRORS ? ERRORS[code as keyof typeof ERRORS].cure : '',
  })
}
