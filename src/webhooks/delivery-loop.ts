import type { Clock } from '../std/clock.ts'
import { nextTry, waitAfter } from './backoff.ts'
import type { Endpoint } from './endpoint.ts'
import type { Delivery, Outbox } from './outbox-port.ts'
import type { Sender } from './sender.ts'

/** What a delivery loop is made of. */
export interface DeliveryLoopParts {
  readonly endpoint: Endpoint
  readonly outbox: Outbox
  readonly sender: Pick<Sender, 'send' | 'close'>
  readonly clock: Clock
  /** From 0 to 1. */
  readonly chance: () => number
  /** Told how each try ended. */
  onOutcome(outcome: 'delivered' | 'retried' | 'failed', delivery: Delivery, detail: string): void
  /** Told when the outbox failed; the loop tries again. */
  onError(error: unknown): void
}

/** Wait after the outbox failed, and longest sleep before looking again. */
const OUTBOX_RETRY_MS = 5_000
const SLEEP_MS_MAX = 3_600_000

/**
 * Delivers the events of one endpoint, in order, one at a time: while the oldest fails, the others wait. A try that was not
 * recorded, as the process ended in the middle, is made again with the same id.
 */
export class DeliveryLoop {
  readonly #parts: DeliveryLoopParts
  readonly #stop = new AbortController()
  /** In a row, of whatever deliveries: an endpoint that is down is left alone although another event's turn has come. */
  #failures = 0
  #quietUntilMs = 0
  #woken = false
  #running: Promise<void> | null = null
  #cancelSleep: () => void = () => undefined

  constructor(parts: DeliveryLoopParts) {
    this.#parts = parts
  }

  /** There may be something to deliver. Returns at once. */
  wake(): void {
    if (this.#stop.signal.aborted) return
    this.#woken = true
    this.#running ??= this.#run().finally(() => {
      this.#running = null
      // Woken after the last look at it, and before this.
      if (this.#woken) this.wake()
    })
  }

  /** Somebody asks to try now, whatever failed before. */
  hurry(): void {
    this.#failures = 0
    this.#quietUntilMs = 0
    this.wake()
  }

  /** Breaks off what is under way, which stays in the outbox. Resolves when all is quiet. */
  async close(): Promise<void> {
    this.#stop.abort()
    this.#cancelSleep()
    await this.#running
    await this.#parts.sender.close()
  }

  async #run(): Promise<void> {
    while (this.#woken && !this.#stop.signal.aborted) {
      this.#woken = false
      try {
        await this.#deliverDue()
      } catch (error) {
        if (this.#stop.signal.aborted) return
        this.#parts.onError(error)
        this.#sleep(OUTBOX_RETRY_MS)
      }
    }
  }

  async #deliverDue(): Promise<void> {
    const { outbox, endpoint, clock } = this.#parts
    while (!this.#stop.signal.aborted) {
      const head = await outbox.head(endpoint.url)
      if (head === null) return
      const waitMs = Math.max(head.nextMs, this.#quietUntilMs) - clock.nowMs()
      if (waitMs > 0) return this.#sleep(waitMs)
      await this.#try(head)
    }
  }

  async #try(delivery: Delivery): Promise<void> {
    const { outbox, sender, clock, chance, onOutcome } = this.#parts
    const { ok, outcome } = await sender.send(delivery.id, delivery.body, clock.nowMs(), this.#stop.signal)
    const nowMs = clock.nowMs()
    if (ok) {
      this.#failures = 0
      this.#quietUntilMs = 0
      await outbox.tried(delivery.seq, { state: 'delivered', triedMs: nowMs, nextMs: nowMs, outcome })
      onOutcome('delivered', delivery, outcome)
      return
    }
    // After a restart the tries on record say for how long the endpoint has been failing.
    this.#failures = Math.max(this.#failures, delivery.tries) + 1
    const nextMs = nextTry(this.#failures, delivery.sinceMs, nowMs, chance())
    this.#quietUntilMs = nextMs ?? nowMs + waitAfter(this.#failures, chance())
    const state = nextMs === null ? 'failed' : 'pending'
    await outbox.tried(delivery.seq, { state, triedMs: nowMs, nextMs: nextMs ?? nowMs, outcome })
    onOutcome(nextMs === null ? 'failed' : 'retried', delivery, outcome)
  }

  #sleep(forMs: number): void {
    this.#cancelSleep()
    this.#cancelSleep = this.#parts.clock.after(Math.min(forMs, SLEEP_MS_MAX), () => this.wake())
  }
}
