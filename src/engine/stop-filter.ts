/**
 * Lets text through up to the first stop sequence, and holds back an end that may be the start of one, so that nothing
 * already sent must be unsaid. Linear in the text for each sequence.
 */
export interface StopFilter {
  /** The text that is safe to send now. Returns '' for ever once a stop sequence was met. */
  push(text: string): string
  /** What was held back and turned out to be harmless, when the text ends. */
  flush(): string
  /** The sequence that was met. */
  readonly met: string | undefined
}

/** Builds a filter for up to a few dozen non-empty sequences. */
export function stopFilter(sequences: readonly string[]): StopFilter {
  const stops = sequences.filter(sequence => sequence.length > 0)
  let held = ''
  let met: string | undefined
  return {
    get met() {
      return met
    },
    push(text) {
      if (met !== undefined) return ''
      if (stops.length === 0) return text
      held += text
      let first = -1
      for (const stop of stops) {
        const at = held.indexOf(stop)
        if (at >= 0 && (first < 0 || at < first)) {
          first = at
          met = stop
        }
      }
      if (first >= 0) {
        const safe = held.slice(0, first)
        held = ''
        return safe
      }
      const keep = longestSuffixThatStarts(held, stops)
      const safe = held.slice(0, held.length - keep)
      held = held.slice(held.length - keep)
      return safe
    },
    flush() {
      const rest = held
      held = ''
      return rest
    },
  }
}

/** Length of the longest suffix of `text` that is a proper prefix of one of the words. */
export function longestSuffixThatStarts(text: string, words: readonly string[]): number {
  let longest = 0
  for (const word of words) {
    for (let length = Math.min(word.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(word.slice(0, length))) {
        longest = length
        break
      }
    }
  }
  return longest
}
