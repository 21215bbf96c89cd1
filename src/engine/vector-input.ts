import type { GenerationInput } from '../inference/request.ts'
import type { Binding } from './binding.ts'
import { RequestFault } from './fault.ts'
import type { TokenizerRules } from './model-file.ts'

/** One thing that the model reads in one step: a text to embed, or a query with one of its documents. */
export type VectorInput =
  | { readonly kind: 'embed'; readonly text: string; readonly tokens: number }
  | { readonly kind: 'rerank'; readonly query: string; readonly document: string; readonly tokens: number }

/** What is known of the model that reads. */
export interface VectorModel {
  readonly purpose: 'embed' | 'rerank'
  readonly rules: TokenizerRules
  /** Longest input, tokens. */
  readonly inputTokensMax: number
}

/** Tokenizes the inputs of a request. Throws `RequestFault` for what cannot be run. */
export async function prepareVectors(
  binding: Binding,
  model: VectorModel,
  input: GenerationInput,
): Promise<readonly VectorInput[]> {
  if (input.kind !== model.purpose) throw new RequestFault('bad_request', refusal(model))
  const reader = input.kind === 'embed' ? 'input' : 'query with document'
  const prepared =
    input.kind === 'embed'
      ? await Promise.all(input.inputs.map(one => toEmbed(binding, model, one)))
      : input.kind === 'rerank'
        ? await toRerank(binding, model, input)
        : []
  prepared.forEach(({ tokens }, index) => {
    if (tokens > model.inputTokensMax) {
      throw new RequestFault(
        'context_length',
        `The ${reader} at position ${index} has ${tokens} tokens; this model reads at most ${model.inputTokensMax} at a time. Split or shorten it.`,
      )
    }
  })
  return prepared
}

function refusal({ purpose }: VectorModel): string {
  return purpose === 'embed'
    ? 'This model makes embeddings; use /v1/embeddings.'
    : 'This model ranks documents; use /v1/rerank.'
}

async function toEmbed(
  binding: Binding,
  { rules }: VectorModel,
  input: string | readonly number[],
): Promise<VectorInput> {
  const text = typeof input === 'string' ? input : await textOfIds(binding, rules, input)
  const { length } = await binding.tokenize(text)
  if (length === 0) throw new RequestFault('bad_request', 'An input has no tokens; send text.')
  // The binding adds the marks of beginning and end together or not at all; an end alone is written out.
  const ended = rules.marksAdded === 0 && rules.addEos ? text + (await pieces(binding, rules.eosToken)) : text
  return { kind: 'embed', text: ended, tokens: length + (ended === text ? rules.marksAdded : 1) }
}

/** The binding takes text only, so token ids must survive the trip through text. Marks around them are left out: they are added anew. */
async function textOfIds(binding: Binding, rules: TokenizerRules, ids: readonly number[]): Promise<string> {
  const marks = [rules.bosToken, rules.eosToken, rules.sepToken]
  const inner = ids.slice(
    ids[0] !== undefined && ids[0] === rules.bosToken ? 1 : 0,
    ids.length > 1 && marks.includes(ids.at(-1)) ? -1 : undefined,
  )
  const text = await binding.detokenize(inner).catch(() => {
    throw new RequestFault('bad_request', "One of these token ids is not in the model's vocabulary.")
  })
  const tokens = await binding.tokenize(text)
  if (tokens.length !== inner.length || inner.some((id, index) => id !== tokens[index])) {
    throw new RequestFault(
      'bad_request',
      "These token ids are not what the model's tokenizer makes of their text, and the embedded engine reads text; send the input as text.",
    )
  }
  return text
}

/** Counts as the binding makes it: marks around and between, written out as text, which is tokenized once more with marks around it. */
async function toRerank(
  binding: Binding,
  { rules }: VectorModel,
  { query, documents }: Extract<GenerationInput, { kind: 'rerank' }>,
): Promise<VectorInput[]> {
  const bos = rules.addBos ? await pieces(binding, rules.bosToken) : ''
  const eos = rules.addEos ? await pieces(binding, rules.eosToken ?? rules.sepToken) : ''
  const sep = rules.addSep ? await pieces(binding, rules.sepToken) : ''
  const read = async (text: string): Promise<string> => binding.detokenize([...(await binding.tokenize(text))])
  const head = bos + (await read(query)) + eos + sep
  return Promise.all(
    documents.map(async document => {
      const { length } = await binding.tokenize(head + (await read(document)) + eos)
      return { kind: 'rerank', query, document, tokens: length + rules.marksAdded } as const
    }),
  )
}

async function pieces(binding: Binding, token: number | undefined): Promise<string> {
  return token === undefined ? '' : binding.detokenize([token])
}
