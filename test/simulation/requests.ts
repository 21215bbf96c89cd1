import type { IncomingHttpHeaders } from 'node:http'
import type { Protocol } from '../../src/inference/request.ts'
import type { Model } from '../../src/inference/snapshot.ts'
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

/**
 * A request out of the generator; one in twelve or so is wrong in some way. Prompts share the prefixes given. Where a key has tokens, half
 * of its requests come with one, as `tokens` decides.
 */
export function makeRequest(rng: Rng, world: World, prefixes: readonly string[], tokens: Rng): Asked {
  const { secret: keySecret, key } = rng.pick(world.secrets)
  const derivable = world.tokens.filter(({ token }) => token.keyId === key.id)
  const derived = derivable.length > 0 && tokens.chance(0.5) ? tokens.pick(derivable) : null
  const secret = derived?.secret ?? keySecret
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
  const others = makeRouting(rng.split('routing'), world)
  if (body.model === model.id) Object.assign(body, others.fields)
  const json = rng.chance(0.02) ? '{"model":' : JSON.stringify(body)
  return {
    protocol: chat ? 'openai-chat' : 'openai-completions',
    headers: { authorization: `Bearer ${rng.chance(0.02) ? `${secret}x` : secret}` },
    body: Buffer.from(json),
    facts: {
      orgId: key.orgId,
      keyId: key.id,
      models: [model, ...others.models],
      tokenId: derived?.token.id ?? null,
      stream,
      choices: n * (chat ? 1 : prompts.length),
      includeUsage,
      mayBeEmpty: stop !== undefined || echo || grammar || outputTokensMax === 0,
    },
  }
}

/** Models to fall back to, and wishes about where to run, for some requests. */
function makeRouting(rng: Rng, { models, upstreamIds }: World): { fields: object; models: readonly Model[] } {
  const fallbacks = rng.chance(0.3) ? Array.from({ length: rng.int(1, 3) }, () => rng.pick(models)) : []
  const names = fallbacks.map(each => each.id)
  if (rng.chance(0.1)) names.unshift('no-such-model')
  const provider = rng.chance(0.15)
    ? {
        order: rng.chance(0.3) ? [rng.pick(upstreamIds)] : undefined,
        ignore: rng.chance(0.3) ? [rng.pick(upstreamIds)] : undefined,
        only: rng.chance(0.2) ? [rng.pick(upstreamIds)] : undefined,
        allow_fallbacks: rng.chance(0.3) ? false : undefined,
        sort: rng.pick(['price', 'throughput', 'latency', undefined]),
        max_price: rng.chance(0.2) ? { prompt: rng.pick(['0', '0.0005', '1.3']) } : undefined,
      }
    : undefined
  const fields = { ...(names.length > 0 && { models: names }), ...(provider !== undefined && { provider }) }
  return { fields, models: fallbacks }
}
