import type { IncomingHttpHeaders } from 'node:http'
import type { Protocol } from '../../src/inference/request.ts'
import type { RequestFacts } from '../../src/simulation/auditor.ts'
import type { Rng } from '../../src/simulation/rng.ts'
import type { World } from './world.ts'

/** A request as it is sent, and what whoever sent it knows of it. */
export interface Asked {
  readonly protocol: Protocol
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly facts: Omit<RequestFacts, 'id' | 'transcript' | 'gone' | 'once'>
}

/** A request out of the generator; one in twelve or so is wrong in some way. Prompts share the prefixes given. */
export function makeRequest(rng: Rng, world: World, prefixes: readonly string[]): Asked {
  const { secret, key } = rng.pick(world.secrets)
  const model = rng.pick(world.models)
  const chat = rng.chance(0.7)
  const stream = rng.chance(0.6)
  const n = rng.chance(0.75) ? 1 : rng.int(2, 4)
  const prompts = Array.from({ length: chat || rng.chance(0.7) ? 1 : rng.int(2, 3) }, () => {
    const own = `${rng.next32()} `.repeat(rng.int(1, 8))
    return rng.pick(prefixes) + own
  })
  const tokensMax = rng.pick([undefined, undefined, 1, 7, 40, 100_000])
  const outputTokensMax = chat ? tokensMax : rng.chance(0.1) ? 0 : tokensMax
  const includeUsage = rng.chance(0.85)
  const stop = rng.chance(0.1) ? ['stop here'] : undefined
  const echo = !chat && rng.chance(0.1)
  const grammar = chat && rng.chance(0.1)
  const body: Record<string, unknown> = {
    model: rng.chance(0.02) ? 'no-such-model' : model.id,
    stream,
    n,
    stop,
    max_tokens: outputTokensMax,
    stream_options: includeUsage ? undefined : { include_usage: false },
    ...(chat
      ? {
          messages: prompts.map(content => ({ role: 'user', content })),
          response_format: grammar ? { type: 'json_object' } : undefined,
        }
      : { prompt: prompts.length === 1 ? prompts[0] : prompts, echo }),
    temperature: rng.chance(0.02) ? 'hot' : undefined,
  }
  const json = rng.chance(0.02) ? '{"model":' : JSON.stringify(body)
  return {
    protocol: chat ? 'openai-chat' : 'openai-completions',
    headers: { authorization: `Bearer ${rng.chance(0.02) ? `${secret}x` : secret}` },
    body: Buffer.from(json),
    facts: {
      orgId: key.orgId,
      keyId: key.id,
      prices: model.prices,
      stream,
      choices: n * (chat ? 1 : prompts.length),
      includeUsage,
      mayBeEmpty: stop !== undefined || echo || grammar || outputTokensMax === 0,
    },
  }
}
