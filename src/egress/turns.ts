/** Work that waits for its turn. */
interface Waiting {
  readonly payer: string
  readonly begin: () => void
}

/**
 * Lets so much work run at a time, and of each payer at most a part of it, so that one whose hosts never answer cannot keep the turns
 * of all others; the rest waits, in order.
 */
export class Turns {
  readonly #runningMax: number
  readonly #runningMaxPerPayer: number
  #running = 0
  readonly #byPayer = new Map<string, number>()
  readonly #waiting: Waiting[] = []

  constructor(runningMax: number, runningMaxPerPayer: number) {
    this.#runningMax = runningMax
    this.#runningMaxPerPayer = runningMaxPerPayer
  }

  /** Runs work when its turn comes. Rejects with the signal's reason when that is aborted while it waits. */
  async take<Result>(payer: string, signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    if (this.#mayRun(payer)) this.#count(payer, 1)
    else await this.#wait(payer, signal)
    try {
      return await work()
    } finally {
      this.#count(payer, -1)
      this.#next()
    }
  }

  #mayRun(payer: string): boolean {
    return this.#running < this.#runningMax && (this.#byPayer.get(payer) ?? 0) < this.#runningMaxPerPayer
  }

  #count(payer: string, change: number): void {
    this.#running += change
    const now = (this.#byPayer.get(payer) ?? 0) + change
    if (now > 0) this.#byPayer.set(payer, now)
    else this.#byPayer.delete(payer)
  }

  #next(): void {
    const at = this.#waiting.findIndex(({ payer }) => this.#mayRun(payer))
    if (at < 0) return
    const [{ payer, begin }] = this.#waiting.splice(at, 1) as [Waiting]
    // Counted here, so that nobody takes its place before it goes on.
    this.#count(payer, 1)
    begin()
  }

  async #wait(payer: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const waiting: Waiting = {
        payer,
        begin: () => {
          signal.removeEventListener('abort', abort)
          resolve()
        },
      }
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
        reject(signal.reason)
      }
      this.#waiting.push(waiting)
      signal.addEventListener('abort', abort, { once: true })
    })
  }
}
