import { existsSync } from 'node:fs'
import type { Config } from '../config/schema.ts'
import { HttpUpstream } from '../upstreams/http-upstream.ts'
import type { TokenCounter } from '../upstreams/tokenizer/token-counter.ts'

/** An upstream of the configuration. Throws with the cure when a file or a variable that it names is missing. */
export function createHttpUpstream(options: Config['upstreams'][number], counter: TokenCounter): HttpUpstream {
  const {
    id,
    api,
    baseUrl,
    apiKeyEnv,
    connectionsMax,
    queueDepthMax,
    allowPrivate,
    stoppable: canStop,
    keepsNoPrompts,
    continuation,
    headersTimeoutMs,
    models,
  } = options
  const dimensions = new Map(models.flatMap(each => (each.dimensions === null ? [] : [[each.name, each.dimensions]])))
  const files = new Map<string, string>()
  for (const { name, tokenizer } of models) {
    if (tokenizer === null) continue
    if (!existsSync(tokenizer))
      throw new Error(
        `upstreams: the tokenizer of ${name} at ${id}, ${tokenizer}, is not there. Correct the path, or remove it.`,
      )
    files.set(name, tokenizer)
  }
  const apiKey = apiKeyEnv === null ? null : process.env[apiKeyEnv]
  if (apiKey === undefined)
    throw new Error(
      `upstreams: ${id} takes its key from the environment variable ${apiKeyEnv}, which is not set. Set it, or apiKeyEnv: null.`,
    )
  return new HttpUpstream({
    id,
    api,
    baseUrl,
    apiKey,
    connectionsMax,
    queueDepthMax,
    allowPrivate,
    stoppable: canStop,
    keepsNoPrompts,
    continuation,
    efforts: new Map(models.flatMap(({ name, efforts }) => (Object.keys(efforts).length > 0 ? [[name, efforts]] : []))),
    headersTimeoutMs,
    bodyTimeoutMs: headersTimeoutMs,
    tokenizers: { counter, files },
    dimensions,
  })
}
