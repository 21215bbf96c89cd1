const OPEN = 0
const RUNNING = 1
const DONE = 2

/** Which lines of a batch are to do, run and are done: a byte each. */
export class Progress {
  readonly #states: Uint8Array
  #next = 0
  #left: number
  #running = 0
  #completed = 0
  #failed = 0

  constructor(lines: number) {
    this.#states = new Uint8Array(lines)
    this.#left = lines
  }

  /** Lines without a result. */
  get left(): number {
    return this.#left
  }

  get running(): number {
    return this.#running
  }

  get completed(): number {
    return this.#completed
  }

  get failed(): number {
    return this.#failed
  }

  /** Begins the next line that is to do, round and round; null when every line runs or is done. */
  begin(): number | null {
    const count = this.#states.length
    for (let steps = 0; steps < count; steps++) {
      const place = this.#next
      this.#next = (place + 1) % count
      if (this.#states[place] !== OPEN) continue
      this.#states[place] = RUNNING
      this.#running++
      return place
    }
    return null
  }

  /** A line that ran is to do again. */
  putBack(place: number): void {
    if (this.#states[place] !== RUNNING) return
    this.#states[place] = OPEN
    this.#running--
  }

  /** A line has its result. */
  done(place: number, kind: 'completed' | 'failed'): void {
    const state = this.#states[place]
    if (state === DONE || state === undefined) return
    if (state === RUNNING) this.#running--
    this.#states[place] = DONE
    this.#left--
    if (kind === 'completed') this.#completed++
    else this.#failed++
  }

  isDone(place: number): boolean {
    return this.#states[place] === DONE
  }
}
