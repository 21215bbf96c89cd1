import type * as Library from '@fugood/llama.node'
import type { ModelInfo } from '@fugood/llama.node'

/** What a GGUF file says of its tokenizer and template. */
export interface ModelFile {
  readonly chatTemplate: string | undefined
  /** Whether prompts must begin with the BOS token. */
  readonly addBos: boolean
  readonly bosToken: number | undefined
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

/** Reads the head of a model file. Throws when it is not GGUF. */
export async function readModelFile(library: typeof Library, path: string): Promise<ModelFile> {
  const info = (await library.loadLlamaModelInfo(path)) as Record<string, string | undefined> | null
  if (info === null || info === undefined) throw new Error('The model file is not a readable GGUF file.')
  const text = (key: string): string | undefined => (info[key] === undefined ? undefined : String(info[key]))
  const said = text('tokenizer.ggml.add_bos_token')
  const addBos =
    said !== undefined
      ? said === 'true'
      : text('tokenizer.ggml.model') === 'llama' || BOS_PRE_TOKENIZERS.has(text('tokenizer.ggml.pre') ?? '')
  const bos = text('tokenizer.ggml.bos_token_id')
  return {
    chatTemplate: text('tokenizer.chat_template'),
    addBos,
    bosToken: bos === undefined ? undefined : Number(bos),
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
