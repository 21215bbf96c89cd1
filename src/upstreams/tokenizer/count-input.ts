import type { InferenceRequest, JsonObject } from '../../inference/request.ts'
import type { TokenCounter } from './token-counter.ts'

/** What of a request's input a tokenizer can be asked about. */
interface InputTexts {
  readonly texts: readonly string[]
  /** Prompts that came as token ids are counted already. */
  readonly tokenIds: number
}

/**
 * Lower bound of a request's input tokens: its texts, tokenized each by itself, without what a chat template adds, which is not
 * known here. For the usage of an upstream that reported none; rejects where it cannot be counted.
 */
export async function countInputLower(request: InferenceRequest, counter: TokenCounter, file: string): Promise<number> {
  const { texts, tokenIds } = inputTexts(request)
  return (await counter.count(file, texts)) + tokenIds
}

/**
 * Upper bound of a request's input tokens, far closer than the one from the bytes: the bytes of the texts are replaced by
 * their tokens, and all else (template, tools, schemas) stays bounded as it was.
 */
export async function countInputUpper(request: InferenceRequest, counter: TokenCounter, file: string): Promise<number> {
  const { texts } = inputTexts(request)
  const textBytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  const tokens = await counter.count(file, texts)
  return request.inputTokensBound - Math.max(0, textBytes - tokens)
}

function inputTexts({ input }: InferenceRequest): InputTexts {
  if (input.kind === 'text') {
    const texts = input.prompts.filter(prompt => typeof prompt === 'string')
    const tokenIds = input.prompts.reduce((sum, prompt) => sum + (typeof prompt === 'string' ? 0 : prompt.length), 0)
    return { texts, tokenIds }
  }
  const texts = input.messages.flatMap(({ content }) => {
    if (typeof content === 'string') return [content]
    return Array.isArray(content) ? content.flatMap(textOfPart) : []
  })
  return { texts, tokenIds: 0 }
}

function textOfPart(part: JsonObject): string[] {
  return typeof part.text === 'string' ? [part.text] : []
}
