import type { Clock } from '../std/clock.ts'

interface Timer {
  readonly atMs: number
  readonly order: number
  callback: (() => void) | null
}

/** Where wall-clock time begins: a round number of 2026, far from any month's end. */
const WALL_START_MS = Date.UTC(2026, 5, 15, 12)

/**
 * Simulated time. It stands still while code runs and jumps from timer to timer; timers due at the same moment fire in the
 * order in which they were set. The wall clock can be set forward and back, monotonic time only grows.
 */
export class SimClock implements Clock {
  #monotonicMs = 0
  #wallOffsetMs = WALL_START_MS
  #order = 0
  readonly #heap: Timer[] = []

  nowMs(): number {
    return Math.floor(this.#monotonicMs + this.#wallOffsetMs)
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer: Timer = { atMs: this.#monotonicMs + Math.max(0, delayMs), order: this.#order++, callback }
    push(this.#heap, timer)
    return () => {
      timer.callback = null
    }
  }

  /** Sets the wall clock forward, or back by a negative number. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs
  }

  /** A clock for one process: after `kill` none of its timers fires any more. */
  forProcess(): { readonly clock: Clock; readonly kill: () => void } {
    let alive = true
    const clock: Clock = {
      nowMs: () => this.nowMs(),
      monotonicMs: () => this.monotonicMs(),
      after: (delayMs, callback) => this.after(delayMs, () => alive && callback()),
    }
    return {
      clock,
      kill: () => {
        alive = false
      },
    }
  }

  /**
   * Lets time pass until `untilMs` (monotonic), or until `enough` says so. After each timer everything that waits on a
   * promise runs until nothing does, then `afterEach` is called.
   */
  async run(untilMs: number, afterEach: () => void, enough: () => boolean = () => false): Promise<void> {
    await promisesSettled()
    afterEach()
    while (!enough()) {
      const timer = this.#heap[0]
      if (timer === undefined || timer.atMs > untilMs) {
        this.#monotonicMs = Math.max(this.#monotonicMs, untilMs)
        return
      }
      pop(this.#heap)
      if (timer.callback === null) continue
      this.#monotonicMs = timer.atMs
      timer.callback()
      await promisesSettled()
      afterEach()
    }
  }
}

// An immediate runs when no promise job is left.
function promisesSettled(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

function before(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}

function push(heap: Timer[], timer: Timer): void {
  let at = heap.length
  heap.push(timer)
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!before(timer, heap[parent] as Timer)) break
    heap[at] = heap[parent] as Timer
    at = parent
  }
  heap[at] = timer
}

function pop(heap: Timer[]): void {
  const last = heap.pop() as Timer
  if (heap.length === 0) return
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1] as Timer, heap[child] as Timer)) child++
    if (!before(heap[child] as Timer, last)) break
    heap[at] = heap[child] as Timer
    at = child
  }
  heap[at] = last
}
