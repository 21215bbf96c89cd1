import type { TokenLogprob } from '../../inference/event.ts'
import { logprobNumber } from '../logprob-number.ts'

/**
 * The `logprobs` of a chat choice, as JSON text. `reasoning_content` is DeepSeek's, and only there where an upstream tells of it.
 */
export function chatLogprobsField(
  content: readonly TokenLogprob[] | undefined,
  reasoning: readonly TokenLogprob[] | undefined,
): string {
  if (content === undefined && reasoning === undefined) return 'null'
  const list = (logprobs: readonly TokenLogprob[]) => `[${chatLogprobsJson(logprobs)}]`
  const thought = reasoning === undefined ? '' : `,"reasoning_content":${list(reasoning)}`
  return `{"content":${content === undefined ? 'null' : list(content)},"refusal":null${thought}}`
}

/** The `content` list of a chat choice's `logprobs`, as JSON text without its brackets. */
export function chatLogprobsJson(logprobs: readonly TokenLogprob[]): string {
  let json = ''
  for (const one of logprobs) {
    const top = one.top.map(tokenFields).join('},{')
    json += `${json === '' ? '' : ','}{${tokenFields(one)},"top_logprobs":[${top === '' ? '' : `{${top}}`}]}`
  }
  return json
}

function tokenFields(one: {
  readonly token: string
  readonly bytes: readonly number[]
  readonly logprob: number
}): string {
  return `"token":${JSON.stringify(one.token)},"logprob":${logprobNumber(one.logprob)},"bytes":[${one.bytes.join(',')}]`
}
