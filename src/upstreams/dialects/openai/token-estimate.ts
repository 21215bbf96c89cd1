/** Up to here a frame is taken to carry one token: the longest everyday tokens of today's vocabularies have 16 bytes. */
const ONE_TOKEN_BYTES_MAX = 16
/** Bytes of a token on average, in English and in Chinese alike, with vocabularies of 100,000 and more. */
const TOKEN_BYTES_MEAN = 4

/**
 * Output tokens in one frame of an upstream that does not say: engines send a frame a token, so a short text is one; a
 * longer one comes from speculative decoding or from joined frames and holds several. It decides charges only when
 * the upstream never reports usage, and it errs in the client's favour there.
 */
export function estimateTokens(textBytes: number): number {
  if (textBytes === 0) return 0
  return textBytes <= ONE_TOKEN_BYTES_MAX ? 1 : Math.ceil(textBytes / TOKEN_BYTES_MEAN)
}
