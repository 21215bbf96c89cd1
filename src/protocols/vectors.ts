import { assert } from '../std/assert.ts'
import type { EventOf } from './protocol.ts'

/** How the vectors of an answer are to be. */
export interface VectorForm {
  /** Length that the client asked for; undefined: as the model makes them. */
  readonly dimensions?: number
  /** Scaled to length 1. */
  readonly normalize?: boolean
}

/** Gathers one vector for each input, in whatever order they come. */
export class Vectors {
  readonly #vectors: (Float32Array | undefined)[]
  readonly #form: VectorForm

  constructor(count: number, form: VectorForm) {
    this.#vectors = new Array(count)
    this.#form = form
  }

  take({ index, vector }: EventOf<'embedding'>): void {
    assert(index < this.#vectors.length && this.#vectors[index] === undefined, `vector ${index} was not asked for`)
    const fitted = fitVector(vector, this.#form.dimensions)
    this.#vectors[index] = this.#form.normalize === true ? scaledToOne(fitted) : fitted
  }

  /** In the order of the inputs. */
  all(): readonly Float32Array[] {
    return Array.from(this.#vectors, (vector, index) => {
      assert(vector !== undefined, `vector ${index} never came`)
      return vector
    })
  }
}

/**
 * A vector of the length asked for. One that is too short gets zeros appended, as DeepInfra does, which changes no distance. One that is
 * too long, of a model that cannot make them shorter itself, is cut and scaled to length 1 again, as OpenAI says to do by hand.
 */
export function fitVector(vector: Float32Array, dimensions: number | undefined): Float32Array {
  if (dimensions === undefined || vector.length === dimensions) return vector
  if (vector.length > dimensions) return scaledToOne(vector.subarray(0, dimensions))
  const padded = new Float32Array(dimensions)
  padded.set(vector)
  return padded
}

function scaledToOne(vector: Float32Array): Float32Array {
  let sum = 0
  for (const value of vector) sum += value * value
  // A vector of zeros has no direction to keep.
  if (sum === 0) return vector
  const scale = 1 / Math.sqrt(sum)
  return vector.map(value => value * scale)
}

/** A vector as the list of numbers that JSON has. */
export function vectorJson(vector: Float32Array): string {
  return `[${vector.join(',')}]`
}

/** A vector as OpenAI's clients ask for it unless told otherwise: little-endian float32, in base64. */
export function vectorBase64(vector: Float32Array): string {
  const bytes = Buffer.allocUnsafe(vector.length * 4)
  for (const [i, value] of vector.entries()) bytes.writeFloatLE(value, i * 4)
  return bytes.toString('base64')
}
