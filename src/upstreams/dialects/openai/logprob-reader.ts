import type { TokenLogprob } from '../../../inference/event.ts'
import type { JsonObject } from '../../../inference/request.ts'
import { isObject } from '../../../wire/json-object.ts'

/** Reads a choice's `logprobs` in the shape of chat (`content`) or of text completions (parallel lists). */
export function readLogprobs(raw: unknown): TokenLogprob[] | undefined {
  if (!isObject(raw)) return undefined
  if (Array.isArray(raw.content)) return raw.content.filter(isObject).map(readChatToken)
  if (!Array.isArray(raw.tokens)) return undefined
  const logprobs = Array.isArray(raw.token_logprobs) ? raw.token_logprobs : []
  const tops = Array.isArray(raw.top_logprobs) ? raw.top_logprobs : []
  return raw.tokens.map((token, i) => ({ ...readToken({ token, logprob: logprobs[i] }), top: readTopMap(tops[i]) }))
}

/** Reads the list of a chat choice's reasoning (DeepSeek). */
export function readReasoningLogprobs(raw: unknown): TokenLogprob[] | undefined {
  if (!isObject(raw) || !Array.isArray(raw.reasoning_content)) return undefined
  return raw.reasoning_content.filter(isObject).map(readChatToken)
}

function readChatToken(raw: JsonObject): TokenLogprob {
  const top = Array.isArray(raw.top_logprobs) ? raw.top_logprobs.filter(isObject).map(readToken) : []
  return { ...readToken(raw), top }
}

function readTopMap(raw: unknown): TokenLogprob['top'] {
  return isObject(raw) ? Object.entries(raw).map(([token, logprob]) => readToken({ token, logprob })) : []
}

/** A missing probability (the first token of an echoed prompt has none) is not a number. */
function readToken(raw: JsonObject): { token: string; bytes: readonly number[]; logprob: number } {
  const token = typeof raw.token === 'string' ? raw.token : ''
  return {
    token,
    bytes: Array.isArray(raw.bytes) ? raw.bytes : [...Buffer.from(token)],
    logprob: typeof raw.logprob === 'number' ? raw.logprob : Number.NaN,
  }
}
