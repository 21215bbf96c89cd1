import { longestSuffixThatStarts } from './stop-filter.ts'

/** A piece of an answer, assigned to one of its two parts. */
export interface SplitPiece {
  readonly reasoning: string
  readonly content: string
}

/**
 * Separates a model's thinking from its answer by the template's tags, as text arrives. The binding can do it too, but
 * parses the whole answer again for every token, which is quadratic; this is linear. White space around the tags
 * belongs to neither part, as in llama.cpp's own parser.
 */
export interface ReasoningSplitter {
  push(text: string): SplitPiece
  /** What was held back when the text ends. */
  flush(): SplitPiece
  /** True while the text belongs to the reasoning. */
  readonly thinking: boolean
}

/** `open`: the prompt already ends inside the thinking block, so that the answer starts with reasoning. */
export function reasoningSplitter(startTag: string, endTag: string, open: boolean): ReasoningSplitter {
  const start = startTag.trim()
  const end = endTag.trim()
  // before: nothing but white space seen, the start tag may still come; inside; after: the rest is content.
  let place: 'before' | 'inside' | 'after' = open ? 'inside' : 'before'
  let held = ''
  let trimStart = open
  /** White space at the end of the reasoning so far: dropped when the end tag follows, else sent with what does. */
  let space = ''

  function reason(text: string): string {
    let body = space + text
    if (trimStart) body = body.trimStart()
    if (body.length > 0 && body.trim().length > 0) trimStart = false
    const kept = body.trimEnd()
    space = body.slice(kept.length)
    return kept
  }

  return {
    get thinking() {
      return place === 'inside'
    },
    push(text) {
      let reasoning = ''
      let content = ''
      held += text
      if (place === 'before') {
        const body = held.trimStart()
        if (body.startsWith(start)) {
          place = 'inside'
          trimStart = true
          held = body.slice(start.length)
        } else if (start.startsWith(body)) {
          return { reasoning, content }
        } else {
          place = 'after'
        }
      }
      if (place === 'inside') {
        const at = held.indexOf(end)
        if (at >= 0) {
          reasoning += reason(held.slice(0, at))
          held = held.slice(at + end.length)
          place = 'after'
          trimStart = true
        } else {
          const keep = longestSuffixThatStarts(held, [end])
          reasoning += reason(held.slice(0, held.length - keep))
          held = held.slice(held.length - keep)
          return { reasoning, content }
        }
      }
      // After a thinking block the white space before the answer is the template's, not the answer's.
      content = trimStart ? held.trimStart() : held
      if (content.length > 0) trimStart = false
      held = ''
      return { reasoning, content }
    },
    flush() {
      const rest = held
      held = ''
      if (place === 'inside') return { reasoning: reason(rest), content: '' }
      return { reasoning: '', content: place === 'before' ? rest : '' }
    },
  }
}
