/** Lets so much work run at a time; the rest waits for its turn, in order. */
export class Turns {
  readonly #runningMax: number
  #running = 0
  readonly #waiting: (() => void)[] = []

  constructor(runningMax: number) {
    this.#runningMax = runningMax
  }

  /** Runs work when its turn comes. Rejects with the signal's reason when that is aborted while it waits. */
  async take<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    if (this.#running >= this.#runningMax) await this.#wait(signal)
    else this.#running++
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      // The place passes on without becoming free in between.
      if (next === undefined) this.#running--
      else next()
    }
  }

  async #wait(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const turn = () => {
        signal.removeEventListener('abort', abort)
        resolve()
      }
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1)
        reject(signal.reason)
      }
      this.#waiting.push(turn)
      signal.addEventListener('abort', abort, { once: true })
    })
  }
}
