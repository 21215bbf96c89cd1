/**
 * The three marks of a fill-in-the-middle prompt. llama.cpp finds them by metadata keys, else by these spellings (llama-vocab.cpp,
 * `special_fim_*`); models that were trained with them write prefix, suffix, then the middle.
 */
export const FIM_NAMES = {
  prefix: [
    '<|fim_prefix|>',
    '<fim-prefix>',
    '<fim_prefix>',
    '<｜fim▁begin｜>',
    '<PRE>',
    '▁<PRE>',
    '<|code_prefix|>',
    '<|prefix|>',
  ],
  suffix: [
    '<|fim_suffix|>',
    '<fim-suffix>',
    '<fim_suffix>',
    '<｜fim▁hole｜>',
    '<SUF>',
    '▁<SUF>',
    '<|code_suffix|>',
    '<|suffix|>',
  ],
  middle: [
    '<|fim_middle|>',
    '<fim-middle>',
    '<fim_middle>',
    '<｜fim▁end｜>',
    '<MID>',
    '▁<MID>',
    '<|code_middle|>',
    '<|middle|>',
  ],
} as const satisfies Record<string, readonly string[]>

export type FimMark = keyof typeof FIM_NAMES

/** Metadata keys that name the marks by token id: today's, and the older ones. */
export const FIM_KEYS: Readonly<Record<FimMark, readonly string[]>> = {
  prefix: ['tokenizer.ggml.fim_pre_token_id', 'tokenizer.ggml.prefix_token_id'],
  suffix: ['tokenizer.ggml.fim_suf_token_id', 'tokenizer.ggml.suffix_token_id'],
  middle: ['tokenizer.ggml.fim_mid_token_id', 'tokenizer.ggml.middle_token_id'],
}

export const FIM_MARKS = Object.keys(FIM_NAMES) as FimMark[]
