import { Agent, buildConnector, type Dispatcher, request } from 'undici'
import { type AddressJudge, EgressRefused, guardedLookup, isInsideAddress, type Resolver } from '../std/egress.ts'
import { OutsideFailure } from './outside-failure.ts'
import { checkOutsideUrl, type EgressRules, notPublic } from './outside-rules.ts'
import { Turns } from './turns.ts'

/** Redirects that are followed, each to a URL that is checked as the first was. */
const REDIRECTS_MAX = 3
/** Requests at a time; each may hold a whole answer in memory. */
const RUNNING_MAX = 16
/** Of one payer. */
const RUNNING_MAX_PER_PAYER = 4
const CONNECTIONS_PER_ORIGIN_MAX = 8
/** What is read of an answer that is of no use. */
const IGNORED_BYTES_MAX = 16 * 1024
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** What to fetch, beside the URL. */
export interface OutsideWish {
  /** For whom: each has no more than a part of the turns. */
  readonly payer: string
  /** Whether an answer of this media type is wanted; lower case, without parameters, empty when the server named none. */
  readonly accepts: (mediaType: string) => boolean
  /** As the header `accept` says it. */
  readonly accept: string
  /** Longest answer; never more than the rules have. */
  readonly bytesMax?: number
  readonly signal?: AbortSignal
}

/** What came. */
export interface OutsideAnswer {
  /** Lower case, without parameters. */
  readonly mediaType: string
  readonly bytes: Buffer
}

/**
 * The client for URLs that clients supply. It goes nowhere inside, whatever a name resolves to and however often it changes its mind, since
 * the very address that is connected to is judged; follows redirects by hand; uses no proxy of the environment; takes answers of a bounded
 * size in a bounded time, and none that is compressed.
 */
export class OutsideClient {
  readonly #rules: EgressRules
  readonly #isInside: AddressJudge
  readonly #agent: Agent
  readonly #turns = new Turns(RUNNING_MAX, RUNNING_MAX_PER_PAYER)

  /** `world` stands in for DNS and for what counts as inside, in tests. */
  constructor(rules: EgressRules, world: { readonly isInside?: AddressJudge; readonly resolve?: Resolver } = {}) {
    this.#rules = rules
    this.#isInside = rules.allowPrivate ? () => false : (world.isInside ?? isInsideAddress)
    this.#agent = new Agent({
      connections: CONNECTIONS_PER_ORIGIN_MAX,
      pipelining: 1,
      connect: guardedConnector(this.#isInside, rules.timeoutMs, world.resolve),
    })
  }

  /**
   * Checks a URL without asking anything there.
   *
   * @throws OutsideFailure `refused`.
   */
  check(url: string): URL {
    return checkOutsideUrl(url, this.#rules, this.#isInside)
  }

  /**
   * Fetches a document by GET.
   *
   * @throws OutsideFailure for whatever is not a whole answer of a wanted type.
   */
  async fetch(url: string, wish: OutsideWish): Promise<OutsideAnswer> {
    return await this.#inTime(url, wish, async signal => {
      let target = this.check(url)
      for (let redirects = 0; ; redirects++) {
        const answer = await this.#request(target, {
          method: 'GET',
          headers: { accept: wish.accept, 'accept-encoding': 'identity', 'user-agent': 'Headrace' },
          signal,
        })
        const { statusCode, headers } = answer
        if (!REDIRECTS.has(statusCode) || headers.location === undefined) return await this.#read(target, answer, wish)
        drop(answer.body)
        if (redirects === REDIRECTS_MAX)
          throw new OutsideFailure('status', `${target.hostname} redirects more than ${REDIRECTS_MAX} times.`)
        const next = URL.parse(String(headers.location), target.href)
        target = this.check(next?.href ?? '')
      }
    })
  }

  /**
   * Sends a document by POST. A redirect is not followed: it counts as the status that it is.
   *
   * @returns the status, whichever it is.
   * @throws OutsideFailure when there was no answer.
   */
  async post(
    url: string,
    message: {
      readonly payer: string
      readonly headers: Readonly<Record<string, string>>
      readonly body: string
      readonly signal?: AbortSignal
    },
  ): Promise<number> {
    return await this.#inTime(url, message, async signal => {
      const { headers, body } = message
      const answer = await this.#request(this.check(url), {
        method: 'POST',
        headers: { 'user-agent': 'Headrace', ...headers },
        body,
        signal,
      })
      await answer.body.dump({ limit: IGNORED_BYTES_MAX, signal })
      return answer.statusCode
    })
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  #request(
    url: URL,
    options: Omit<Dispatcher.RequestOptions, 'path' | 'origin'>,
  ): Promise<Dispatcher.ResponseData<unknown>> {
    return request(url, { ...options, dispatcher: this.#agent } as Parameters<typeof request>[1])
  }

  async #read({ hostname }: URL, answer: Dispatcher.ResponseData<unknown>, wish: OutsideWish): Promise<OutsideAnswer> {
    const { statusCode, headers, body } = answer
    const bytesMax = Math.min(wish.bytesMax ?? this.#rules.bytesMax, this.#rules.bytesMax)
    const fail = (reason: OutsideFailure['reason'], what: string) => {
      drop(body)
      return new OutsideFailure(reason, `${hostname} ${what}`)
    }
    if (statusCode !== 200) throw fail('status', `answered with status ${statusCode}.`)
    const encoding = headers['content-encoding']
    // Nothing is unpacked, so that a small answer cannot become a large one.
    if (encoding !== undefined && encoding !== 'identity') throw fail('type', 'answered in a compressed form.')
    const mediaType = (String(headers['content-type'] ?? '').split(';', 1)[0] ?? '').trim().toLowerCase()
    if (!wish.accepts(mediaType))
      throw fail('type', `answered with ${mediaType === '' ? 'no content type' : mediaType}, not ${wish.accept}.`)
    const tooLarge = `has more than the ${bytesMax} bytes that are fetched.`
    if (Number(headers['content-length'] ?? 0) > bytesMax) throw fail('too_large', tooLarge)
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > bytesMax) throw fail('too_large', tooLarge)
      chunks.push(chunk)
    }
    return { mediaType, bytes: Buffer.concat(chunks) }
  }

  async #inTime<Result>(
    url: string,
    { payer, signal: stop }: Pick<OutsideWish, 'payer' | 'signal'>,
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const { timeoutMs } = this.#rules
    const late = AbortSignal.timeout(timeoutMs)
    const signal = stop === undefined ? late : AbortSignal.any([stop, late])
    try {
      return await this.#turns.take(payer, signal, () => work(signal))
    } catch (error) {
      stop?.throwIfAborted()
      const host = URL.parse(url)?.hostname ?? 'The host'
      if (late.aborted) throw new OutsideFailure('timeout', `${host} did not answer within ${timeoutMs} ms.`, error)
      throw failureOf(error, host)
    }
  }
}

/** Ends an answer that is not wanted, with its connection. */
function drop(body: Dispatcher.ResponseData['body']): void {
  body.on('error', () => undefined)
  body.destroy()
}

function failureOf(error: unknown, host: string): OutsideFailure {
  if (error instanceof OutsideFailure) return error
  if (isRefused(error)) return new OutsideFailure('refused', notPublic(host), error)
  return new OutsideFailure('unreachable', `${host} cannot be reached, or broke the connection off.`, error)
}

// Node gathers what became of several addresses into one error.
function isRefused(error: unknown): boolean {
  if (error instanceof EgressRefused) return true
  return error instanceof AggregateError && error.errors.some(isRefused)
}

/** Connects to addresses that were judged, and makes sure by the address at the other end. */
function guardedConnector(isInside: AddressJudge, timeout: number, resolve?: Resolver): buildConnector.connector {
  const connect = buildConnector({ timeout, lookup: guardedLookup(isInside, resolve) })
  return (options, callback) => {
    connect(options, (...result) => {
      const [, socket] = result
      if (socket && isInside(socket.remoteAddress ?? '')) {
        socket.destroy()
        callback(new EgressRefused('connected to an inside address'), null)
      } else callback(...result)
    })
  }
}
