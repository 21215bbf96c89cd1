import { inputTexts } from '../../inference/input-texts.ts'
import type { InferenceRequest } from '../../inference/request.ts'
import type { TokenCounter } from './token-counter.ts'

/**
 * Lower bound of a request's input tokens: its texts, tokenized each by itself, without what a chat template adds, which is not
 * known here. For the usage of an upstream that reported none; rejects where it cannot be counted.
 */
export async function countInputLower(request: InferenceRequest, counter: TokenCounter, file: string): Promise<number> {
  const { texts, tokenIds } = inputTexts(request.input)
  return (await counter.count(file, texts)) + tokenIds
}

/**
 * Upper bound of a request's input tokens, far closer than the one from the bytes: the bytes of the texts are replaced by
 * their tokens, and all else (template, tools, schemas) stays bounded as it was.
 */
export async function countInputUpper(request: InferenceRequest, counter: TokenCounter, file: string): Promise<number> {
  const { texts } = inputTexts(request.input)
  const textBytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  const tokens = await counter.count(file, texts)
  return request.inputTokensBound - Math.max(0, textBytes - tokens)
}
