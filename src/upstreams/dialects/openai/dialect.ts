import type { JsonObject } from '../../../inference/request.ts'
import type { Attempt } from '../../../inference/upstream.ts'
import type { DialectSettings, HttpDialect } from '../../http-dialect.ts'
import { continueLast } from './continuation.ts'
import { translateEffort } from './effort.ts'
import { failureOfStatus } from './failure.ts'
import { OpenAiStreamDecoder } from './stream-decoder.ts'

const PATHS = { chat: '/chat/completions', text: '/completions', embed: '/embeddings', rerank: '/rerank' } as const

/** OpenAI's chat and completions wire: vLLM, SGLang, llama-server, most providers. */
export const OPENAI_DIALECT: HttpDialect = {
  headers: (apiKey): Record<string, string> => (apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
  exchange: (attempt, settings) => ({
    path: PATHS[attempt.request.input.kind],
    body: upstreamBody(attempt, settings),
  }),
  decoder({ request, passthrough, publicModel }) {
    const prompts = request.input.kind === 'text' ? request.input.prompts.length : 1
    return new OpenAiStreamDecoder({ passthrough, publicModel, choices: request.n * prompts })
  },
  failureOfStatus,
}

// The client's own body, so that fields we do not know reach the upstream, with what admission and metering need.
function upstreamBody(attempt: Attempt, { continuation, efforts }: DialectSettings): JsonObject {
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
  if (request.input.kind === 'chat' && request.input.continuesLast === true) continueLast(body, continuation)
  const known = efforts?.get(attempt.upstreamModel)
  if (known !== undefined) translateEffort(body, known)
  return body
}
