import type { Config } from '../config/schema.ts'
import type { Clock } from '../std/clock.ts'
import { DeliveryLoop } from './delivery-loop.ts'
import { createEndpoint } from './endpoint.ts'
import type { Delivery, Outbox } from './outbox-port.ts'
import { Sender } from './sender.ts'

/** The event that nobody subscribes to and everybody gets who is tested. */
export const TEST_EVENT = 'webhook.test'
/** An endpoint has to answer within so long. */
const ANSWER_TIMEOUT_MS = 15_000

/** What webhooks are made of. */
export interface WebhooksParts {
  readonly settings: Config['webhooks']
  readonly outbox: Outbox
  readonly clock: Clock
  readonly newId: (prefix: string) => string
}

/** What a server that delivers needs beside it. */
export interface DeliveringParts {
  /** Holds the secrets. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** From 0 to 1. */
  readonly chance: () => number
  readonly timeoutMs?: number
  onOutcome(outcome: 'delivered' | 'retried' | 'failed' | 'dropped', detail: object): void
  onError(error: unknown): void
}

/**
 * Outgoing webhooks: events are put into the outbox for every endpoint that wants them, and, once `start` was called, delivered
 * from there.
 */
export class Webhooks {
  readonly #parts: WebhooksParts
  #delivering: DeliveringParts | null = null
  #loops: ReadonlyMap<string, DeliveryLoop> = new Map()

  constructor(parts: WebhooksParts) {
    this.#parts = parts
  }

  /** Begins to deliver what is in the outbox and what comes. Throws with the cure when a secret is missing. */
  start(parts: DeliveringParts): void {
    const { settings, outbox, clock } = this.#parts
    this.#delivering = parts
    this.#loops = new Map(
      settings.map(setting => {
        const endpoint = createEndpoint(setting, parts.env)
        const loop = new DeliveryLoop({
          endpoint,
          outbox,
          sender: new Sender(endpoint, parts.timeoutMs ?? ANSWER_TIMEOUT_MS),
          clock,
          chance: parts.chance,
          onOutcome: (outcome, { id, type }, answer) =>
            parts.onOutcome(outcome, { id, type, host: new URL(endpoint.url).host, answer }),
          onError: parts.onError,
        })
        return [endpoint.url, loop]
      }),
    )
    outbox.failOthers([...this.#loops.keys()], clock.nowMs()).catch(parts.onError)
    for (const loop of this.#loops.values()) loop.wake()
  }

  /** Breaks off what is under way, which the next start delivers. */
  async close(): Promise<void> {
    await Promise.all([...this.#loops.values()].map(loop => loop.close()))
  }

  /** Puts an event on its way to every endpoint that wants it. Returns at once and never throws. */
  emit(type: string, data: Readonly<Record<string, unknown>>): void {
    const wanted = this.#parts.settings.filter(({ events }) => events === 'all' || events.some(each => each === type))
    if (wanted.length === 0) return
    this.#add(
      type,
      data,
      wanted.map(({ url }) => url),
    ).catch(error => {
      // The event is lost: what keeps it is what keeps settlements too, and then the server has told that already.
      this.#delivering?.onOutcome('dropped', { type })
      this.#delivering?.onError(error)
    })
  }

  /** The endpoints, and how many events wait for each. */
  async endpoints(): Promise<readonly { url: string; events: readonly string[] | 'all'; pending: number }[]> {
    const pending = await this.#parts.outbox.pending()
    return this.#parts.settings.map(({ url, events }) => ({ url, events, pending: pending.get(url) ?? 0 }))
  }

  /** Newest first. */
  deliveries(selection: Parameters<Outbox['list']>[0]): Promise<readonly Delivery[]> {
    return this.#parts.outbox.list(selection)
  }

  /** Sends a test event to the endpoint, or to all; answers its id and where it goes. */
  async test(url: string | null): Promise<{ id: string; urls: readonly string[] }> {
    const urls = this.#parts.settings.map(each => each.url).filter(each => url === null || each === url)
    const id = await this.#add(TEST_EVENT, { message: 'This is a test.' }, urls)
    return { id, urls }
  }

  /** Tries again what failed, one event or all; answers how many deliveries. */
  async retry(id: string | null): Promise<number> {
    const count = await this.#parts.outbox.retry(id, this.#parts.clock.nowMs())
    for (const loop of this.#loops.values()) loop.hurry()
    return count
  }

  async #add(type: string, data: Readonly<Record<string, unknown>>, urls: readonly string[]): Promise<string> {
    const { outbox, clock, newId } = this.#parts
    const id = newId('msg_')
    const createdMs = clock.nowMs()
    const body = JSON.stringify({ type, timestamp: new Date(createdMs).toISOString(), data })
    const dropped = await outbox.add(urls.map(endpoint => ({ id, endpoint, type, body, createdMs })))
    for (let i = 0; i < dropped; i++)
      this.#delivering?.onOutcome('dropped', { id, type, answer: 'too many wait for the endpoint' })
    for (const url of urls) this.#loops.get(url)?.wake()
    return id
  }
}
