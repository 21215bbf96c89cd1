import { FIM_KEYS, FIM_MARKS, FIM_NAMES } from './fim-tokens.ts'
import { fileTypeName, ggmlType } from './ggml-types.ts'
import { type GgufArray, GgufError, type GgufHeader, type GgufValue, readGgufHeader } from './gguf-header.ts'
import { type ModelPurpose, purposeOf } from './model-purpose.ts'

/** What a GGUF file says of itself, in plain numbers: for the memory plan, the catalogue and people. */
export interface GgufDescription {
  readonly path: string
  readonly fileBytes: number
  /** llama.cpp's name of the architecture, such as `llama` or `deepseek4`. */
  readonly architecture: string
  /** `model`, `adapter`, `mmproj` and the like; `model` when unsaid. */
  readonly kind: string
  readonly name: string | null
  readonly license: string | null
  /** Who published the weights. */
  readonly organization: string | null
  /** Longest context the model was trained for; null when unsaid. */
  readonly contextTokens: number | null
  /** Such as `Q4_K_M`; the most frequent tensor type by bytes when the file does not say. */
  readonly quantisation: string
  /** Weights, counted over all tensors. */
  readonly parameters: number
  /** Bytes of all tensors: what the weights take in memory. */
  readonly tensorBytes: number
  readonly layers: number
  readonly embeddingLength: number
  /** Attention heads per layer, one number a layer. */
  readonly headCounts: readonly number[]
  /** Key and value heads per layer, one number a layer; 0 in layers without a KV cache. */
  readonly kvHeadCounts: readonly number[]
  /** Elements of one key head and of one value head. */
  readonly keyLength: number
  readonly valueLength: number
  /** Tokens that windowed layers look back; null when none has a window. */
  readonly slidingWindowTokens: number | null
  readonly vocabularyTokens: number
  readonly tokenizerModel: string | null
  /** The chat template, Jinja source; null when the file has none. */
  readonly chatTemplate: string | null
  /** Pieces that the file was split into; 1 when it is whole. */
  readonly splitCount: number
  /** What it was made for. */
  readonly purpose: ModelPurpose
  /** Whether its vocabulary has the three marks of fill-in-the-middle. */
  readonly fillsInTheMiddle: boolean
  /**
   * Every number and short list of numbers under the architecture's own prefix, the prefix left out
   * (`attention.kv_lora_rank`, `attention.sliding_window`): what a plan for a particular architecture needs.
   */
  readonly architectureNumbers: Readonly<Record<string, number | readonly number[]>>
}

/**
 * Describes a local GGUF file from its header.
 *
 * @throws GgufError when it is no readable GGUF, names no architecture, or is shorter than its tensors need.
 */
export function describeGguf(path: string): GgufDescription {
  return describeHeader(path, readGgufHeader(path, Object.values(FIM_NAMES).flat()))
}

/** Describes a header that was read already; marks of fill-in-the-middle are known by name if they were looked for. */
export function describeHeader(path: string, header: GgufHeader): GgufDescription {
  const { metadata } = header
  const architecture = text(metadata.get('general.architecture'))
  if (architecture === null) throw new GgufError('the metadata names no general.architecture: not a model file')
  const number = (key: string): number | null => numeric(metadata.get(`${architecture}.${key}`))
  const perLayer = (key: string, layers: number, absent: number): number[] =>
    numbersPerLayer(metadata.get(`${architecture}.${key}`), layers, absent)

  const sizes = tensorSizes(header)
  const layers = number('block_count') ?? 0
  const embeddingLength = number('embedding_length') ?? 0
  const headCounts = perLayer('attention.head_count', layers, 0)
  const headLength = embeddingLength / Math.max(1, ...headCounts)
  return {
    path,
    fileBytes: header.fileBytes,
    architecture,
    kind: text(metadata.get('general.type')) ?? 'model',
    name: text(metadata.get('general.name')),
    license: text(metadata.get('general.license')),
    organization: text(metadata.get('general.organization')),
    contextTokens: number('context_length'),
    quantisation: fileTypeName(numeric(metadata.get('general.file_type')) ?? -1) ?? sizes.dominantType,
    parameters: sizes.parameters,
    tensorBytes: sizes.bytes,
    layers,
    embeddingLength,
    headCounts,
    // llama.cpp: where the file does not say, every attention head has keys and values of its own.
    kvHeadCounts:
      metadata.get(`${architecture}.attention.head_count_kv`) === undefined
        ? headCounts
        : perLayer('attention.head_count_kv', layers, 0),
    keyLength: number('attention.key_length') ?? Math.floor(headLength),
    valueLength: number('attention.value_length') ?? Math.floor(headLength),
    slidingWindowTokens: number('attention.sliding_window'),
    vocabularyTokens: arrayLength(metadata.get('tokenizer.ggml.tokens')) ?? number('vocab_size') ?? 0,
    tokenizerModel: text(metadata.get('tokenizer.ggml.model')),
    chatTemplate: text(metadata.get('tokenizer.chat_template')),
    purpose: purposeOf(metadata),
    fillsInTheMiddle: hasFimMarks(metadata),
    splitCount: Math.max(1, numeric(metadata.get('split.count')) ?? 1),
    architectureNumbers: architectureNumbers(metadata, `${architecture}.`),
  }
}

/** Sums over the tensors; refuses a file that is shorter than they need, as a download that broke off leaves it. */
function tensorSizes(header: GgufHeader): { parameters: number; bytes: number; dominantType: string } {
  let parameters = 0
  let bytes = 0
  let end = header.dataOffset
  const bytesByType = new Map<string, number>()
  for (const tensor of header.tensors) {
    const elements = tensor.dimensions.reduce((product, length) => product * length, 1)
    parameters += elements
    const type = ggmlType(tensor.type)
    const tensorBytes = type === undefined ? 0 : (elements / type.blockElements) * type.blockBytes
    if (!Number.isInteger(tensorBytes) || !Number.isSafeInteger(elements)) {
      throw new GgufError(`tensor "${tensor.name}" has the impossible shape ${tensor.dimensions.join(' x ')}`)
    }
    bytes += tensorBytes
    end = Math.max(end, header.dataOffset + tensor.offset + tensorBytes)
    const name = type?.name ?? `type ${tensor.type}`
    bytesByType.set(name, (bytesByType.get(name) ?? 0) + tensorBytes)
  }
  if (end > header.fileBytes) {
    throw new GgufError(`the file has ${header.fileBytes} bytes and its tensors need ${end}: it was cut short`)
  }
  const dominant = [...bytesByType].sort((left, right) => right[1] - left[1])[0]
  return { parameters, bytes, dominantType: dominant?.[0] ?? 'none' }
}

/** By token id, or by name in the vocabulary. */
function hasFimMarks(metadata: ReadonlyMap<string, GgufValue>): boolean {
  const tokens = metadata.get('tokenizer.ggml.tokens')
  const found = new Set(isArray(tokens) ? tokens.found : [])
  return FIM_MARKS.every(
    mark => FIM_KEYS[mark].some(key => metadata.has(key)) || FIM_NAMES[mark].some(name => found.has(name)),
  )
}

function architectureNumbers(
  metadata: ReadonlyMap<string, GgufValue>,
  prefix: string,
): Record<string, number | readonly number[]> {
  const found: Record<string, number | readonly number[]> = {}
  for (const [key, value] of metadata) {
    if (!key.startsWith(prefix)) continue
    if (typeof value === 'number') found[key.slice(prefix.length)] = value
    else if (isArray(value) && value.numbers !== null) found[key.slice(prefix.length)] = value.numbers
  }
  return found
}

function numbersPerLayer(value: GgufValue | undefined, layers: number, absent: number): number[] {
  const listed = isArray(value) ? value.numbers : null
  const same = numeric(value) ?? absent
  return Array.from({ length: Math.min(layers, 65_536) }, (_, layer) => listed?.[layer] ?? same)
}

function isArray(value: GgufValue | undefined): value is GgufArray {
  return typeof value === 'object'
}

function arrayLength(value: GgufValue | undefined): number | null {
  return isArray(value) ? value.length : null
}

function text(value: GgufValue | undefined): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

function numeric(value: GgufValue | undefined): number | null {
  return typeof value === 'number' ? value : null
}
