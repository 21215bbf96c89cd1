import { createHmac } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import type { OutsideClient } from '../egress/outside-client.ts'
import { OutsideFailure } from '../egress/outside-failure.ts'
import { Turns } from '../egress/turns.ts'
import { ApiError } from '../errors.ts'
import type { KeptDocument, KeptDocuments } from '../ledger/kept-document.ts'
import type { Clock } from '../std/clock.ts'
import { nextTry, TRYING_MS } from './backoff.ts'

const KIND = 'webhook_result'
/** Documents of results that nobody took are dropped a while after the last try. */
const KEEP_MS = TRYING_MS + 3_600_000
/** Results that are looked up at a time when the server starts. */
const PAGE = 100
/** Results in memory at a time, and of one org: after a restart a day's results may be owed at once. */
const SENDING_MAX = 64
const SENDING_MAX_PER_ORG = 8
/** What the signing secret is derived for; see `resultSecretOf`. */
const PURPOSE = 'webhook'

/** A result that is owed, as far as it is needed to find and send it. */
interface Owed {
  readonly requestId: string
  readonly orgId: string
  readonly createdMs: number
}

/** What is written down of a result. */
interface Written {
  readonly url: string
  readonly secret: string
  /** What to send; while there is no result, what to send in its stead. */
  readonly body: string
}

/** A result that is ordered. */
export interface Order extends Owed {
  readonly keyId: string
  readonly url: string
  readonly presented: string
  readonly interrupted: string
}

/** What results are sent with. */
export interface ResultWebhooksParts {
  readonly kept: KeptDocuments
  readonly outside: Pick<OutsideClient, 'check' | 'post'>
  readonly clock: Clock
  /** From 0 to 1. */
  readonly chance: () => number
  /** Told how each try ended. */
  readonly onOutcome: (outcome: 'delivered' | 'retried' | 'failed', detail: string) => void
  /** Told when what is kept could not be read or written. */
  readonly onError: (error: unknown) => void
}

/**
 * The secret that results for a client are signed with, in the form of Standard Webhooks: HMAC-SHA-256 of the word "webhook", keyed with
 * the API key that asked. The client can work it out, so that nobody has to hand it over; who knows it cannot work out the key.
 */
export function resultSecretOf(apiKey: string): string {
  return `whsec_${createHmac('sha256', apiKey).update(PURPOSE).digest('base64')}`
}

/**
 * Sends the results of requests to where their clients want them, signed as Standard Webhooks says, again and again for a day until one
 * try is answered with 2xx. What is owed is on disk: a result since its charge, and before that the fact that one is owed, so that after
 * a restart results are sent that were not, and requests that were interrupted are told to have failed.
 */
export class ResultWebhooks {
  readonly #parts: ResultWebhooksParts
  readonly #stop = new AbortController()
  /** Ends the waits of results that are tried again. */
  readonly #waits = new Set<() => void>()
  readonly #turns = new Turns(SENDING_MAX, SENDING_MAX_PER_ORG)

  constructor(parts: ResultWebhooksParts) {
    this.#parts = parts
  }

  /**
   * Checks a URL as far as that can be told before it is asked.
   *
   * @throws ApiError 400 that names `param`.
   */
  check(url: string, param: string): void {
    try {
      this.#parts.outside.check(url)
    } catch (error) {
      if (!(error instanceof OutsideFailure)) throw error
      throw new ApiError('invalid_value', `'${param}' cannot be used: ${error.message}`, { param })
    }
  }

  /** Writes down that a result is owed. Rejects when that cannot be. */
  async expect(order: Order): Promise<void> {
    await this.#parts.kept.put(documentOf(order, 'running', order.interrupted))
  }

  /** The result, to be put in the place of what `expect` wrote. */
  document(order: Order, result: string): KeptDocument {
    return documentOf(order, 'done', result)
  }

  /** Sends a result that is durable. */
  deliver(order: Order): void {
    void this.#try(order, 0)
  }

  /** There is no result: this is sent instead. */
  async fail(order: Order, body: string): Promise<void> {
    try {
      await this.#parts.kept.put(documentOf(order, 'done', body))
    } catch (error) {
      this.#parts.onError(error)
      return
    }
    void this.#try(order, 0)
  }

  /** Sends what the process before this one owed; to be called before anything is ordered. */
  async resume(): Promise<void> {
    const { kept, clock } = this.#parts
    const owed: Owed[] = []
    let afterId: string | undefined
    do {
      const page = await kept.list(
        { kind: KIND, states: ['running', 'done'] },
        { order: 'asc', limit: PAGE, ...(afterId !== undefined && { afterId }) },
        clock.nowMs(),
      )
      owed.push(...page.map(({ id, orgId, createdMs }) => ({ requestId: id, orgId, createdMs })))
      afterId = page.length < PAGE ? undefined : page.at(-1)?.id
    } while (afterId !== undefined)
    // Not before all are known: what is delivered goes, and pages follow on one another.
    for (const each of owed) void this.#try(each, 0)
  }

  /** Tries no more; what was not delivered is on disk. */
  close(): void {
    this.#stop.abort()
    for (const end of this.#waits) end()
  }

  async #try(owed: Owed, failures: number): Promise<void> {
    const { kept, clock, chance, onOutcome, onError } = this.#parts
    try {
      const failure = await this.#turns.take(owed.orgId, this.#stop.signal, () => this.#readAndSend(owed))
      if (this.#stop.signal.aborted || failure === undefined) return
      const nextMs = failure === null ? null : nextTry(failures + 1, owed.createdMs, clock.nowMs(), chance())
      if (nextMs === null) {
        await kept.remove(KIND, owed.orgId, owed.requestId)
        onOutcome(failure === null ? 'delivered' : 'failed', failure ?? 'result')
        return
      }
      onOutcome('retried', failure ?? '')
      const end = clock.after(nextMs - clock.nowMs(), () => {
        this.#waits.delete(end)
        void this.#try(owed, failures + 1)
      })
      this.#waits.add(end)
    } catch (error) {
      if (!this.#stop.signal.aborted) onError(error)
    }
  }

  // The result is read anew for each try, so that one that waits takes no memory. Undefined when it is not owed any more.
  async #readAndSend(owed: Owed): Promise<string | null | undefined> {
    if (this.#stop.signal.aborted) return undefined
    const document = await this.#parts.kept.find(KIND, owed.orgId, owed.requestId, this.#parts.clock.nowMs())
    return document === null ? undefined : await this.#send(owed, JSON.parse(document.json))
  }

  /** One try; null when it was taken, else why not. */
  async #send({ requestId: id, orgId: payer }: Owed, { url, secret, body }: Written): Promise<string | null> {
    const nowMs = this.#parts.clock.nowMs()
    const headers = {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(nowMs / 1000)),
      'webhook-signature': new Webhook(secret).sign(id, new Date(nowMs), body),
    }
    try {
      const status = await this.#parts.outside.post(url, { payer, headers, body, signal: this.#stop.signal })
      return status >= 200 && status < 300 ? null : `status ${status}`
    } catch (error) {
      if (error instanceof OutsideFailure) return error.message
      throw error
    }
  }
}

function documentOf(order: Order, state: 'running' | 'done', body: string): KeptDocument {
  const { requestId, orgId, keyId, url, presented, createdMs } = order
  const written: Written = { url, secret: resultSecretOf(presented), body }
  return {
    kind: KIND,
    id: requestId,
    orgId,
    keyId,
    parentId: null,
    state,
    json: JSON.stringify(written),
    createdMs,
    expiresMs: createdMs + KEEP_MS,
  }
}
