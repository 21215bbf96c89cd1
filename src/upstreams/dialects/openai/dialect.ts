import type { JsonObject } from '../../../inference/request.ts'
import type { Attempt } from '../../../inference/upstream.ts'
import type { DialectSettings, HttpDialect } from '../../http-dialect.ts'
import { continueLast } from './continuation.ts'
import { translateEffort } from './effort.ts'
import { failureOfStatus } from './failure.ts'
import { JsonAnswerDecoder } from './json-answer-decoder.ts'
import { OpenAiStreamDecoder } from './stream-decoder.ts'

const PATHS = { chat: '/chat/completions', text: '/completions', embed: '/embeddings', rerank: '/rerank' } as const

/** OpenAI's chat and completions wire: vLLM, SGLang, llama-server, most providers. */
export const OPENAI_DIALECT: HttpDialect = {
  headers: (apiKey): Record<string, string> => (apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
  exchange(attempt, settings, floats) {
    const { kind } = attempt.request.input
    const generates = kind === 'chat' || kind === 'text'
    return { path: PATHS[kind], body: generates ? streamBody(attempt, settings) : plainBody(attempt, settings, floats) }
  },
  decoder({ request, passthrough, publicModel }) {
    const { input } = request
    if (input.kind === 'embed' || input.kind === 'rerank') return new JsonAnswerDecoder(input)
    const prompts = input.kind === 'text' ? input.prompts.length : 1
    return new OpenAiStreamDecoder({ passthrough, publicModel, choices: request.n * prompts })
  },
  failureOfStatus,
}

// The client's own body, so that fields we do not know reach the upstream, with what admission and metering need.
function streamBody(attempt: Attempt, { continuation, efforts }: DialectSettings): JsonObject {
  const { request } = attempt
  const body: JsonObject = {
    ...request.body,
    model: attempt.upstreamModel,
    stream: true,
    stream_options: { include_usage: true },
    // Kept by us, or by nobody.
    store: undefined,
  }
  const limit = attempt.outputTokensFit === undefined ? attempt.outputTokensMax : attempt.outputTokensFit
  if (request.outputTokensMax !== undefined && (limit === null || request.outputTokensMax > limit)) {
    for (const name of ['max_tokens', 'max_completion_tokens']) {
      if (body[name] === undefined) continue
      if (limit === null) delete body[name]
      else body[name] = limit
    }
  }
  if (request.protocol !== 'openai-chat' && request.input.kind === 'chat')
    body.messages = request.input.messages.map(withoutOrder)
  if (request.input.kind === 'chat' && request.input.continuesLast === true) continueLast(body, continuation)
  const known = efforts?.get(attempt.upstreamModel)
  if (known !== undefined) translateEffort(body, known)
  return body
}

// The order of a turn's blocks is for translations back; nobody else knows the field, and a strict server would refuse it.
function withoutOrder(message: JsonObject): JsonObject {
  if (message.block_order === undefined) return message
  const { block_order: _, ...known } = message
  return known
}

function plainBody({ request, upstreamModel }: Attempt, { dimensions }: DialectSettings, floats: boolean): JsonObject {
  const { input } = request
  const body: JsonObject = { ...request.body, model: upstreamModel }
  if (input.kind !== 'embed') return body
  body.encoding_format = floats ? 'float' : 'base64'
  // Longer vectors than it can make would be refused; whoever answers the client appends the zeros.
  const most = dimensions?.get(upstreamModel)
  if (input.dimensions !== undefined && most !== undefined && input.dimensions >= most) delete body.dimensions
  return body
}
