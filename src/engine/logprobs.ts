import type { TokenLogprob } from '../inference/event.ts'
import type { Binding, NativeToken } from './binding.ts'

/** Stands for minus infinity on the wire, as OpenAI's own API does. */
const LOGPROB_MIN = -9999

/**
 * Makes log probabilities of what the binding calls back: the ids and probabilities of the candidates, after sampling
 * filters and temperature, so they are those of the distribution that the token was drawn from. At temperature 0 that
 * distribution has one member. The binding does not say which candidate was drawn; it is the likeliest whose text is
 * the token's.
 */
export interface LogprobReader {
  read(data: NativeToken, alternatives: number): Promise<TokenLogprob | undefined>
}

/** Texts of tokens by id. */
export interface TokenPieces {
  text(id: number): Promise<string>
  /** The token with its log probability, as it is told. */
  entry(id: number, logprob: number): Promise<{ token: string; bytes: number[]; logprob: number }>
}

/** Texts of tokens are asked for once and kept: at most one string per vocabulary entry. */
export function tokenPieces(binding: Binding): TokenPieces {
  const pieces = new Map<number, string>()

  async function text(id: number): Promise<string> {
    const known = pieces.get(id)
    if (known !== undefined) return known
    const piece = await binding.detokenize([id])
    pieces.set(id, piece)
    return piece
  }

  return {
    text,
    async entry(id, logprob) {
      const token = await text(id)
      return { token, bytes: [...Buffer.from(token)], logprob: logprob < LOGPROB_MIN ? LOGPROB_MIN : logprob }
    },
  }
}

/** Reads what the binding calls back with each token. */
export function logprobReader(pieces: TokenPieces): LogprobReader {
  return {
    async read(data, alternatives) {
      const candidates = data.probs ?? []
      let drawn: number | undefined
      for (let index = 0; index < candidates.length && drawn === undefined; index++) {
        const piece = await pieces.text((candidates[index] as { tok: number }).tok)
        // A token that only starts a character has no text yet; alone it reads as a replacement character.
        if (piece === data.token || (data.token === '' && piece.includes('\ufffd'))) drawn = index
      }
      // Text of several tokens that complete one character: none matches, and the likeliest stands for it.
      const chosen = candidates[drawn ?? 0]
      if (chosen === undefined) return undefined
      const top = []
      for (const candidate of candidates.slice(0, alternatives)) {
        top.push(entry(await pieces.text(candidate.tok), candidate.prob))
      }
      return { ...entry(data.token, chosen.prob), top }
    },
  }
}

function entry(token: string, prob: number): { token: string; bytes: number[]; logprob: number } {
  return { token, bytes: [...Buffer.from(token)], logprob: prob > 0 ? Math.log(prob) : LOGPROB_MIN }
}
