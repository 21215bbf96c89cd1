/**
 * Random numbers out of a seed: the same seed gives the same numbers on every machine. SplitMix (Steele, Lea and Flood,
 * "Fast splittable pseudorandom number generators", 2014) on 32 bits, with the finaliser of MurmurHash3. Good enough to
 * choose faults, not for secrets.
 */
export class Rng {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** A generator of its own for a named purpose, so that more draws for one purpose do not shift another's. */
  split(purpose: string): Rng {
    return new Rng(hashText(purpose, this.next32()))
  }

  /** An integer in [0, 2³²). */
  next32(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0
    return mix(this.#state)
  }

  /** An integer from `min` to `max`, both included; their distance has to be below 2³². */
  int(min: number, max: number): number {
    return min + (this.next32() % (max - min + 1))
  }

  /** True with the probability given, 0 to 1. */
  chance(probability: number): boolean {
    return this.next32() < probability * 2 ** 32
  }

  /** One of the items, of which there has to be one. */
  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)] as T
  }
}

/** A hash of 32 bits of a text's UTF-16 units, which differs with `seed`. */
export function hashText(text: string, seed: number): number {
  let hash = seed | 0
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mix(hash)
}

function mix(value: number): number {
  let bits = value
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}
