import type { GgufDescription } from '../gguf/describe-gguf.ts'
import type { CatalogueEntry, CataloguePrice } from './catalogue-schema.ts'
import { ModelError } from './model-error.ts'

/** What the file does not say of itself. */
export interface Brought {
  readonly id: string
  readonly bytes: number
  readonly sha256: string
  /** File name in the models folder. */
  readonly name: string
  /** The source it came from, as a catalogue may list it; null when it was a local path. */
  readonly source: string | null
  /** Null: nothing is sold until the operator sets one. */
  readonly price: CataloguePrice | null
}

/**
 * A catalogue entry for a file that somebody brought, from what its header says. What a model is for is read off its pooling type and
 * architecture; the capabilities of one that generates are read off the chat template: without one it continues text and does not chat;
 * a template that never mentions tools drops them.
 *
 * @throws ModelError `wrong_kind` for files that are no whole generating model (adapters, projectors).
 */
export function deriveEntry(description: GgufDescription, brought: Brought): CatalogueEntry {
  if (description.contextTokens === null || description.layers === 0) {
    throw new ModelError(
      'wrong_kind',
      `${brought.name} is not taken: its header names no context length or no layers, so it is no language model`,
    )
  }
  return {
    id: brought.id,
    name: description.name ?? brought.id,
    aliases: [],
    ownedBy: description.organization?.slice(0, 128) ?? 'unknown',
    released: null,
    architecture: description.architecture,
    parameters: description.parameters,
    contextTokens: description.contextTokens,
    outputTokensMax: description.contextTokens,
    license: description.license?.slice(0, 128) ?? 'unknown',
    capabilities: capabilitiesOf(description),
    sampling: {},
    price: brought.price,
    file: {
      name: brought.name,
      bytes: brought.bytes,
      sha256: brought.sha256,
      sources: brought.source === null ? [] : [brought.source],
    },
  }
}

const CAPABLE_OF_NOTHING = {
  chat: false,
  completion: false,
  tools: false,
  reasoning: false,
  jsonSchema: false,
  logprobs: false,
}

function capabilitiesOf(description: GgufDescription): CatalogueEntry['capabilities'] {
  if (description.purpose === 'embed') return { ...CAPABLE_OF_NOTHING, embeddings: true }
  if (description.purpose === 'rerank') return { ...CAPABLE_OF_NOTHING, rerank: true }
  const template = description.chatTemplate
  return {
    chat: template !== null,
    completion: true,
    tools: template !== null && /\btools\b/.test(template),
    reasoning: template !== null && /<\/?think|reasoning_content|enable_thinking|<\|channel\|>/.test(template),
    jsonSchema: template !== null,
    logprobs: true,
    ...(description.fillsInTheMiddle ? { suffix: true } : {}),
  }
}

/** A model id from a file name: `SmolLM2-135M-Instruct.Q4_1.gguf` becomes `smollm2-135m-instruct.q4_1`. */
export function idFromFileName(name: string): string {
  const id = name
    .replace(/\.gguf$/i, '')
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 128)
  return id === '' ? 'model' : id
}

/** A file name for the models folder from a model id: `org/model` becomes `org-model.gguf`. */
export function fileNameFromId(id: string): string {
  return `${id.replace(/[^A-Za-z0-9._+-]+/g, '-')}.gguf`
}
