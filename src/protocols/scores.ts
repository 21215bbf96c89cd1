import { assert } from '../std/assert.ts'
import type { EventOf } from './protocol.ts'

/** Gathers one score for each document, in whatever order they come. */
export class Scores {
  readonly #scores: (number | undefined)[]

  constructor(count: number) {
    this.#scores = new Array(count)
  }

  take({ index, score }: EventOf<'score'>): void {
    assert(index < this.#scores.length && this.#scores[index] === undefined, `score ${index} was not asked for`)
    this.#scores[index] = score
  }

  /** In the order of the documents. */
  all(): readonly number[] {
    return Array.from(this.#scores, (score, index) => {
      assert(score !== undefined, `score ${index} never came`)
      return score
    })
  }
}
