import type { TokenLogprob } from '../../inference/event.ts'
import { logprobNumber } from '../logprob-number.ts'

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
