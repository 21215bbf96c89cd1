import { parseDollars } from '../ledger/money.ts'
import { PriceFormatError } from '../pricing/document.ts'
import { isInsideAddress } from '../std/egress.ts'
import { ENGINE_UPSTREAM_ID } from './engine-upstream-id.ts'
import { homeTooLong } from './home-paths.ts'
import { type PriceSetting, tariffOfSetting } from './price-setting.ts'
import type { Config } from './schema.ts'

/** What one setting demands of another, with the reason. */
export interface Relation {
  /** The setting at fault, dotted. */
  readonly path: string
  readonly message: string
}

/** Contradictions between settings that are each allowed. */
export function contradictions(config: Config): Relation[] {
  const { server } = config
  const found: Relation[] = []
  const demand = (holds: boolean, path: string, message: string) => {
    if (!holds) found.push({ path, message })
  }
  const tooLong = homeTooLong(config.home)
  if (tooLong !== null) found.push({ path: 'home', message: tooLong })
  const { answerBytesMax, totalBytesMax } = config.money.idempotency
  demand(
    answerBytesMax <= totalBytesMax,
    'money.idempotency.answerBytesMax',
    `is ${answerBytesMax}, more than money.idempotency.totalBytesMax (${totalBytesMax}): such an answer could not be kept; lower it or raise the total`,
  )
  demand(
    server.firstByteTimeoutMs <= server.requestDeadlineMs,
    'server.firstByteTimeoutMs',
    `is ${server.firstByteTimeoutMs}, later than server.requestDeadlineMs (${server.requestDeadlineMs}): it could never be reached; lower it or raise the deadline`,
  )
  demand(
    server.keepAliveCommentMs < server.firstByteTimeoutMs,
    'server.keepAliveCommentMs',
    `is ${server.keepAliveCommentMs}, not below server.firstByteTimeoutMs (${server.firstByteTimeoutMs}): a waiting stream would end before its first comment; lower it`,
  )
  demand(
    !(server.cors.origins.includes('*') && server.cors.origins.length > 1),
    'server.cors.origins',
    'has "*" beside other origins, which it already covers; keep one or the other',
  )
  const upstreamIds = new Set<string>()
  const priceOf = new Map<string, string>()
  for (const [index, upstream] of config.upstreams.entries()) {
    const path = `upstreams.${index}`
    demand(
      !upstreamIds.has(upstream.id),
      `${path}.id`,
      `is ${JSON.stringify(upstream.id)} a second time: usage and metrics tell upstreams apart by id; rename one`,
    )
    demand(
      upstream.id !== ENGINE_UPSTREAM_ID,
      `${path}.id`,
      `is "${ENGINE_UPSTREAM_ID}", which is the embedded engine; choose another`,
    )
    upstreamIds.add(upstream.id)
    demand(
      upstream.allowPrivate || !isPrivateHost(new URL(upstream.baseUrl).hostname),
      `${path}.baseUrl`,
      `is ${JSON.stringify(upstream.baseUrl)}, an address inside this machine or network; if that is meant, set allowPrivate: true for this upstream`,
    )
    const names = new Set<string>()
    for (const [position, model] of upstream.models.entries()) {
      const modelPath = `${path}.models.${position}`
      for (const name of [model.model, ...model.aliases]) {
        demand(
          !names.has(name),
          `${modelPath}.model`,
          `names ${JSON.stringify(name)} a second time in this upstream: a request for it would have two meanings; remove one`,
        )
        names.add(name)
      }
      demand(
        model.outputTokensMax === null || model.outputTokensMax <= model.contextTokens,
        `${modelPath}.outputTokensMax`,
        `is ${model.outputTokensMax}, above contextTokens (${model.contextTokens}), which output is a part of; lower it`,
      )
      for (const name of ['price', 'cost'] as const) {
        const fault = model[name] === null ? null : priceFault(model[name])
        if (fault !== null) found.push({ path: [modelPath, name, ...fault.path].join('.'), message: fault.message })
      }
      if (model.price === null) continue
      const written = JSON.stringify(model.price)
      const other = priceOf.get(model.model) ?? written
      priceOf.set(model.model, other)
      demand(
        other === written,
        `${modelPath}.price`,
        `differs from the price of ${JSON.stringify(model.model)} at another upstream: customers pay for a model, wherever it runs; write the same price, or null in all but one`,
      )
    }
  }
  const urls = new Set<string>()
  for (const [index, { url, allowPrivate }] of config.webhooks.entries()) {
    const path = `webhooks.${index}.url`
    demand(!urls.has(url), path, `is ${JSON.stringify(url)} a second time: join the events in one entry`)
    urls.add(url)
    demand(
      allowPrivate || !isPrivateHost(new URL(url).hostname),
      path,
      `is ${JSON.stringify(url)}, an address inside this machine or network; if that is meant, set allowPrivate: true for this endpoint`,
    )
  }
  const shop = config.payments.stripe
  if (shop !== null) {
    const ids = shop.packs.map(pack => pack.id)
    for (const [index, id] of ids.entries())
      demand(ids.indexOf(id) === index, `payments.stripe.packs.${index}.id`, `is ${JSON.stringify(id)} a second time`)
    demand(
      parseDollars(shop.minDollars) <= parseDollars(shop.maxDollars),
      'payments.stripe.minDollars',
      `is ${shop.minDollars}, above payments.stripe.maxDollars (${shop.maxDollars}): no amount could be paid; lower it`,
    )
  }
  return found
}

function priceFault(price: PriceSetting): PriceFormatError | null {
  try {
    tariffOfSetting(price)
    return null
  } catch (error) {
    if (!(error instanceof PriceFormatError)) throw error
    return error
  }
}

/** What works but deserves a word. */
export function cautions(config: Config): Relation[] {
  const { server } = config
  const found: Relation[] = []
  const open = !isLoopbackHost(server.host)
  if (open && server.tls === null && server.trustedProxies.length === 0) {
    found.push({
      path: 'server.host',
      message: `is ${server.host}: other machines can connect, and without server.tls their keys and prompts travel in clear; set server.tls, or server.trustedProxies when a proxy does TLS`,
    })
  }
  if (isAnyAddress(server.host) && server.allowedHosts.length === 0) {
    found.push({
      path: 'server.allowedHosts',
      message: `is empty while server.host is ${server.host}: only clients that say a loopback name are answered; list the names that clients use`,
    })
  }
  for (const [index, upstream] of config.upstreams.entries()) {
    const url = new URL(upstream.baseUrl)
    if (url.protocol === 'http:' && upstream.apiKeyEnv !== null && !isPrivateHost(url.hostname)) {
      found.push({
        path: `upstreams.${index}.baseUrl`,
        message: 'is plain http to an outside address: its API key and all prompts travel in clear; use https',
      })
    }
  }
  for (const [index, webhook] of config.webhooks.entries()) {
    const url = new URL(webhook.url)
    if (url.protocol === 'http:' && !isPrivateHost(url.hostname)) {
      found.push({
        path: `webhooks.${index}.url`,
        message: 'is plain http to an outside address: what orgs have and spend travels in clear; use https',
      })
    }
  }
  return found
}

/** Whether only this machine can connect to a listener on the host. */
function isLoopbackHost(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase()
  return bare === 'localhost' || bare.endsWith('.localhost') || bare === '::1' || /^127\.\d+\.\d+\.\d+$/.test(bare)
}

function isAnyAddress(host: string): boolean {
  return host === '0.0.0.0' || host === '::' || host === '[::]'
}

/**
 * A first look at what is written; the egress guard looks again at the address that a name resolves to.
 */
function isPrivateHost(hostname: string): boolean {
  const bare = hostname.replace(/^\[|\]$/g, '')
  if (isLoopbackHost(bare)) return true
  return isInsideAddress(bare)
}
