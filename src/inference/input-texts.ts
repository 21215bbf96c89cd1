import type { ChatMessage, GenerationInput, JsonObject } from './request.ts'

/** The texts that a model reads of a request, in order, and how many tokens came as ids. */
export interface InputTexts {
  readonly texts: readonly string[]
  readonly tokenIds: number
}

/** Gathers the texts of an input, without what a template, tools or a schema add. */
export function inputTexts(input: GenerationInput): InputTexts {
  switch (input.kind) {
    case 'text':
      return ofPrompts(input.prompts)
    case 'embed':
      return ofPrompts(input.inputs)
    case 'rerank':
      // Every document is read together with the query.
      return { texts: input.documents.flatMap(document => [input.query, document]), tokenIds: 0 }
    case 'chat':
      return { texts: input.messages.flatMap(({ content }) => textsOfContent(content)), tokenIds: 0 }
  }
}

function ofPrompts(prompts: readonly (string | readonly number[])[]): InputTexts {
  const texts: string[] = []
  let tokenIds = 0
  for (const prompt of prompts) {
    if (typeof prompt === 'string') texts.push(prompt)
    else tokenIds += prompt.length
  }
  return { texts, tokenIds }
}

function textsOfContent(content: ChatMessage['content']): string[] {
  if (typeof content === 'string') return [content]
  return Array.isArray(content) ? content.flatMap(textOfPart) : []
}

function textOfPart(part: JsonObject): string[] {
  return typeof part.text === 'string' ? [part.text] : []
}
