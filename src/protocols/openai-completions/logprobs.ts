import type { TokenLogprob } from '../../inference/event.ts'
import { logprobNumber } from '../logprob-number.ts'

/**
 * Log probabilities of one choice in the shape of OpenAI's text completions: parallel lists, where `text_offset` is the
 * position of each token in the choice's text, in characters (Unicode code points, as clients in Python count).
 */
export class CompletionLogprobs {
  #offset = 0

  /** The `logprobs` object of the next tokens, as JSON text. */
  json(logprobs: readonly TokenLogprob[]): string {
    const offsets: number[] = []
    for (const one of logprobs) {
      offsets.push(this.#offset)
      this.#offset += codePoints(one.token)
    }
    const tops = logprobs.map(one => {
      if (Number.isNaN(one.logprob)) return 'null'
      const seen = new Set<string>()
      const pairs: string[] = []
      // The token itself is always among them, also when it is not one of the likeliest.
      for (const top of [...one.top, one]) {
        // Different bytes of a cut character read as the same text; the first is the likeliest.
        if (seen.has(top.token)) continue
        seen.add(top.token)
        pairs.push(`${JSON.stringify(top.token)}:${logprobNumber(top.logprob)}`)
      }
      return `{${pairs.join(',')}}`
    })
    return (
      `{"tokens":${JSON.stringify(logprobs.map(one => one.token))}` +
      `,"token_logprobs":${JSON.stringify(logprobs.map(one => logprobNumber(one.logprob)))}` +
      `,"top_logprobs":[${tops.join(',')}],"text_offset":${JSON.stringify(offsets)}}`
    )
  }
}

function codePoints(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}
