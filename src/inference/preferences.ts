/** What places are put in order by: what the upstream takes, how fast it writes, how soon it begins. */
export type PlaceOrder = 'price' | 'throughput' | 'latency'

/** The part of requests that a bound speaks of: `p90` of 0.5 s means that 9 in 10 took no longer. */
export type Percentile = 'p50' | 'p75' | 'p90' | 'p99'

/** A bound for each percentile that it names. */
export type PercentileBounds = { readonly [Each in Percentile]?: number }

/** The most that a client is willing to pay, in the units of prices: picodollars per token, and per request. */
export interface PriceBound {
  readonly inputPicodollars?: bigint
  readonly outputPicodollars?: bigint
  readonly requestPicodollars?: bigint
}

/** Where a client wants its request to run. Upstreams are named by their ids, in lower case. All undefined or empty: it does not mind. */
export interface Preferences {
  /** Tried first, in this order. */
  readonly order: readonly string[]
  /** No other may serve it. */
  readonly only?: readonly string[]
  /** These may not. */
  readonly ignore: readonly string[]
  /** False: no place but the first choice, or but those in `order`, may serve it. */
  readonly fallbacks: boolean
  /** The model has to know every parameter of the request, where otherwise one that it does not know is left unheard. */
  readonly allParameters: boolean
  /** Only places that are declared to keep no prompts. */
  readonly keepsNoPrompts: boolean
  /** Only places that run the weights in one of these formats, in lower case. */
  readonly quantizations?: readonly string[]
  /** Replaces the even spread of load. */
  readonly sort?: PlaceOrder
  /** A model that costs more is out of the question. */
  readonly maxPrice?: PriceBound
  /** Places that were slower to begin lately come last; milliseconds. */
  readonly latencyMsMax?: PercentileBounds
  /** Places that wrote slower lately come last; tokens per second. */
  readonly tokensPerSecondMin?: PercentileBounds
}

/** No wishes at all. */
export const NO_PREFERENCES: Preferences = Object.freeze({
  order: [],
  ignore: [],
  fallbacks: true,
  allParameters: false,
  keepsNoPrompts: false,
})
