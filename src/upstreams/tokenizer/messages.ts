/** Asks the worker for the tokens of texts, each tokenized by itself and without special tokens, added up. */
export interface CountAsked {
  readonly id: number
  /** Path of a Hugging Face `tokenizer.json`. */
  readonly file: string
  readonly texts: readonly string[]
}

/** The worker's answer. */
export type Counted =
  | { readonly id: number; readonly tokens: number }
  /** For people: what was wrong with which file. */
  | { readonly id: number; readonly failure: string }
