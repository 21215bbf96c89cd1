import type { ChatMessage } from '../inference/request.ts'
import type { FormattedChat } from './binding.ts'

/** What the client wrote of an answer that the model is to go on with. */
export interface BegunAnswer {
  readonly content: string
  /** Thinking before it; empty: the answer begins without. */
  readonly reasoning: string
}

/** What a last message of the assistant begins, its content as the template would get it. */
export function begunBy(message: ChatMessage, content: unknown): BegunAnswer {
  const { reasoning_content: long, reasoning: short } = message
  const reasoning = typeof long === 'string' ? long : typeof short === 'string' ? short : ''
  return { content: typeof content === 'string' ? content : '', reasoning }
}

/**
 * A formatted chat whose answer has begun: the text goes behind the header that the template opens the answer with. Thinking that a
 * content follows is over; without content the model goes on thinking.
 */
export function continued(formatted: FormattedChat, { content, reasoning }: BegunAnswer): FormattedChat {
  const { prompt, thinking_start_tag: startTag, thinking_end_tag: endTag } = formatted
  if (startTag === undefined || endTag === undefined) return { ...formatted, prompt: prompt + content }
  const open = endsInside(prompt, startTag, endTag)
  if (reasoning === '') return { ...formatted, prompt: prompt + (open ? endTag : '') + content }
  const thought = (open ? '' : startTag) + reasoning
  return { ...formatted, prompt: prompt + thought + (content === '' ? '' : endTag + content) }
}

/** Whether a prompt ends in a thinking block that it opened. */
export function endsInside(prompt: string, startTag: string, endTag: string): boolean {
  return prompt.lastIndexOf(startTag.trim()) > prompt.lastIndexOf(endTag.trim())
}
