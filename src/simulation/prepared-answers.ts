import type { Protocol } from '../inference/request.ts'
import { answerText } from './simulated-engine.ts'
import { answerBody, finishFrame, roleFrame, textFrame, usageFrame } from './upstream-frames.ts'

/** Longest answer that is prepared; a longer one is cut to it. */
export const PREPARED_TOKENS_MAX = 8192
/** Models and choices whose frames are kept; clients that invent names cannot fill the memory. */
const KEPT_MAX = 64

interface Frames {
  /** Bytes of all frames of a choice's text so far, a token each. */
  bytes: Buffer
  /** Where the frames of so many tokens end. */
  readonly ends: number[]
  readonly head: { readonly protocol: Protocol; readonly id: string; readonly model: string }
}

const DONE = Buffer.from('data: [DONE]\n\n')

/** Whole answers out of prepared bytes: what they say depends on the seed and the choice alone. */
export class PreparedAnswers {
  readonly #seed: number
  readonly #frames = new Map<string, Frames>()

  constructor(seed: number) {
    this.#seed = seed
  }

  /** All bytes of a stream whose choices have `tokens` tokens each, in a frame each. */
  stream(protocol: Protocol, model: string, choices: number, tokens: number, usage: string): Buffer {
    const parts: Uint8Array[] = []
    for (let choice = 0; choice < choices; choice++) {
      const frames = this.#framesOf(protocol, model, choice, tokens)
      parts.push(roleFrame(frames.head, choice), frames.bytes.subarray(0, frames.ends[tokens]))
      parts.push(finishFrame(frames.head, choice, 'length'))
    }
    parts.push(usageFrame({ protocol, id: idOf(protocol), model }, usage), DONE)
    return Buffer.concat(parts)
  }

  /** The same answer as one JSON body. */
  body(protocol: Protocol, model: string, choices: number, tokens: number, usage: string): Uint8Array {
    const texts = Array.from({ length: choices }, (_, choice) => answerText(this.#seed, choice, 0, tokens))
    return answerBody({ protocol, id: idOf(protocol), model }, texts, 'length', usage)
  }

  #framesOf(protocol: Protocol, model: string, choice: number, tokens: number): Frames {
    const name = `${protocol} ${choice} ${model}`
    let frames = this.#frames.get(name)
    if (frames === undefined) {
      if (this.#frames.size >= KEPT_MAX) this.#frames.clear()
      frames = { bytes: Buffer.alloc(0), ends: [0], head: { protocol, id: idOf(protocol), model } }
      this.#frames.set(name, frames)
    }
    if (frames.ends.length <= tokens) this.#grow(frames, choice, tokens)
    return frames
  }

  // By doubling, so that answers that get longer and longer do not copy everything each time.
  #grow(frames: Frames, choice: number, tokens: number): void {
    const { ends, head } = frames
    const parts: Uint8Array[] = [frames.bytes]
    let end = frames.bytes.length
    for (let token = ends.length - 1; token < Math.min(tokens * 2, PREPARED_TOKENS_MAX); token++) {
      const frame = textFrame(head, choice, answerText(this.#seed, choice, token, 1))
      parts.push(frame)
      end += frame.length
      ends.push(end)
    }
    frames.bytes = Buffer.concat(parts)
  }
}

function idOf(protocol: Protocol): string {
  return protocol === 'openai-completions' ? 'cmpl-simulated' : 'chatcmpl-simulated'
}
