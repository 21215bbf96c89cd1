import type * as Library from '@fugood/llama.node'
import type { ModelInfo } from '@fugood/llama.node'
import { FIM_KEYS, FIM_MARKS, type FimMark } from '../gguf/fim-tokens.ts'

/** What a GGUF file says of its tokenizer and template. */
export interface ModelFile extends TokenizerRules {
  readonly chatTemplate: string | undefined
  /** Template by which a reranker wants its query and document written; the binding knows no such. */
  readonly rerankTemplate: boolean
  /** Tokens that end an answer, as far as the file names them. */
  readonly endTokens: readonly number[]
  /** Token ids of the marks of fill-in-the-middle, where the file names them. */
  readonly fimTokens: Readonly<Partial<Record<FimMark, number>>>
}

/** Which marks a tokenizer puts around what it reads. */
export interface TokenizerRules {
  /** Whether prompts must begin with the BOS token. */
  readonly addBos: boolean
  /** Whether an input ends with the EOS token. */
  readonly addEos: boolean
  /** Whether a separator stands between a query and a document. */
  readonly addSep: boolean
  readonly bosToken: number | undefined
  readonly eosToken: number | undefined
  readonly sepToken: number | undefined
  /** Tokens that the binding adds to an input that is embedded or ranked. */
  readonly marksAdded: number
}

/** Pre-tokenizers for which llama.cpp adds a BOS token when the file does not say (llama-vocab.cpp). */
const BOS_PRE_TOKENIZERS = new Set([
  'llama3',
  'llama-v3',
  'llama-bpe',
  'falcon3',
  'falcon-h1',
  'pixtral',
  'midm-2.0',
  'lfm2',
  'tekken',
  'chameleon',
])

/** Pre-tokenizers for which llama.cpp puts a separator between a query and a document (the same). */
const SEP_PRE_TOKENIZERS = new Set(['jina-v1-en', 'jina-v2-code', 'roberta-bpe'])

/** Reads the head of a model file. Throws when it is not GGUF. */
export async function readModelFile(library: typeof Library, path: string): Promise<ModelFile> {
  const info = (await library.loadLlamaModelInfo(path)) as Record<string, string | undefined> | null
  if (info === null || info === undefined) throw new Error('The model file is not a readable GGUF file.')
  const text = (key: string): string | undefined => (info[key] === undefined ? undefined : String(info[key]))
  const flag = (key: string, otherwise: boolean): boolean => {
    const said = text(key)
    return said === undefined ? otherwise : said === 'true'
  }
  const number = (key: string): number | undefined => (text(key) === undefined ? undefined : Number(text(key)))
  const tokenizer = text('tokenizer.ggml.model')
  const pre = text('tokenizer.ggml.pre') ?? ''
  const wordPieces = tokenizer === 'bert'
  // What llama.cpp does when the file does not say (llama-vocab.cpp, `load`).
  const addBos = flag(
    'tokenizer.ggml.add_bos_token',
    tokenizer === 'llama' || wordPieces || BOS_PRE_TOKENIZERS.has(pre),
  )
  const addEos = flag('tokenizer.ggml.add_eos_token', tokenizer === 't5')
  return {
    chatTemplate: text('tokenizer.chat_template'),
    endTokens: ['eos', 'eot'].flatMap(name => number(`tokenizer.ggml.${name}_token_id`) ?? []),
    rerankTemplate: text('tokenizer.chat_template.rerank') !== undefined,
    fimTokens: Object.fromEntries(
      FIM_MARKS.flatMap(mark =>
        FIM_KEYS[mark].flatMap(key => (number(key) === undefined ? [] : [[mark, number(key)]])),
      ),
    ),
    addBos,
    addEos,
    addSep: flag('tokenizer.ggml.add_sep_token', wordPieces || SEP_PRE_TOKENIZERS.has(pre)),
    bosToken: number('tokenizer.ggml.bos_token_id') ?? (wordPieces ? number('tokenizer.ggml.cls_token_id') : undefined),
    eosToken: number('tokenizer.ggml.eos_token_id'),
    sepToken: number('tokenizer.ggml.seperator_token_id'),
    // Word pieces always get both marks; the binding asks for marks only where there is one of the beginning.
    marksAdded: !addBos ? 0 : wordPieces || addEos ? 2 : 1,
  }
}

/**
 * How prompts get their BOS token. llama.cpp strips the one that a template writes, because its own server adds it when
 * tokenizing; the binding tokenizes without, so it would be missing. A template that writes one more keeps one.
 */
export function beginningOf(
  file: ModelFile,
  override: string | undefined,
): { readonly chatTemplate: string | undefined; readonly bosToken: number | undefined } {
  const template = override ?? file.chatTemplate
  if (!file.addBos || file.bosToken === undefined) return { chatTemplate: override, bosToken: undefined }
  if (template === undefined) return { chatTemplate: undefined, bosToken: file.bosToken }
  const extra = template.includes('bos_token') ? 1 : 2
  return { chatTemplate: '{{- bos_token -}}'.repeat(extra) + template, bosToken: file.bosToken }
}

/**
 * Whether a saved state of this model can only be continued at its end. So it is where the state is recurrent, where
 * compressed attention keeps state that cannot be cut back (`deepseek4`), and where a sliding window has already
 * dropped what an earlier position would need.
 */
export function wholePrefixOnly(info: ModelInfo): boolean {
  const architecture = info.metadata['general.architecture'] ?? ''
  const window = Number(info.metadata[`${architecture}.attention.sliding_window`] ?? 0)
  return info.is_recurrent || info.is_hybrid || architecture === 'deepseek4' || window > 0
}

/**
 * Whether loading a saved state disturbs the other sequences that run at that moment. So it is with `deepseek4`: the
 * binding reads the compressed attention state of one sequence over those of all, and the answers of the others change
 * (test/engine/reuse.test.ts). Other models whose state is more than keys and values are not trusted with it either.
 */
export function loadsAlone(info: ModelInfo): boolean {
  return info.is_recurrent || info.is_hybrid || info.metadata['general.architecture'] === 'deepseek4'
}
