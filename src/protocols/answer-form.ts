import type { ApiError } from '../errors.ts'
import type { InferenceRequest } from '../inference/request.ts'
import { nanodollarsToDecimal } from '../wire/decimal.ts'
import { openRouterError } from './openrouter-error.ts'
import type { AnswerTotals } from './protocol.ts'

/**
 * What the clients of a surface look for in an answer beside OpenAI's fields. Texts are JSON, to be put into an object behind other
 * fields, hence begin with a comma where they are not empty.
 */
export interface AnswerForm {
  /** Fields of an answer, and of each chunk of one. */
  readonly head: string
  /** Fields of an answer in one body. */
  readonly body: string
  /** Fields of a choice that ended; `native` is the upstream's own word where that is another. */
  finish(reason: string, native: string | undefined): string
  /** Fields of a delta, or of a message, that thinks. */
  reasoning(text: string): string
  /** Whether the chunk with the usage has a choice, which some clients look for before they read any further. */
  readonly usageInChoice: boolean
  /** Fields of `usage`. */
  usage(totals: AnswerTotals): string
  /** The value of `error`, where it is not OpenAI's; a stream that breaks then ends in a chunk. */
  readonly error?: (error: ApiError) => object
}

const NOTHING = () => ''

const OPENAI_FORM: AnswerForm = {
  ...{ head: '', body: '', finish: NOTHING, reasoning: NOTHING },
  ...{ usageInChoice: false, usage: NOTHING },
}

/** The form of a request's answer by an upstream. */
export function formOf({ surface }: InferenceRequest, upstreamId: string | undefined): AnswerForm {
  return surface === 'openrouter' ? openRouterForm(upstreamId) : OPENAI_FORM
}

/**
 * OpenRouter's: who served it, the upstream's own reason, thinking as a list, and what it cost. What the upstream takes from the operator
 * is nobody's business; `upstream_inference_*` split what the client pays.
 */
function openRouterForm(upstreamId: string | undefined): AnswerForm {
  return {
    head: upstreamId === undefined ? '' : `,"provider":${JSON.stringify(upstreamId)}`,
    // Its SDK refuses a whole answer without the field, and a chunk in which it is null.
    body: ',"system_fingerprint":null',
    finish: (reason, native) => `,"native_finish_reason":${JSON.stringify(native ?? reason)}`,
    reasoning: text =>
      `,"reasoning_details":[{"type":"reasoning.text","text":${JSON.stringify(text)},"format":"unknown","index":0}]`,
    usageInChoice: true,
    usage({ chargeNanodollars, inputChargeNanodollars }) {
      const input = inputChargeNanodollars?.() ?? 0n
      return (
        `,"cost":${nanodollarsToDecimal(chargeNanodollars)},"is_byok":false,"cost_details":{"upstream_inference_cost":null` +
        `,"upstream_inference_prompt_cost":${nanodollarsToDecimal(input)}` +
        `,"upstream_inference_completions_cost":${nanodollarsToDecimal(chargeNanodollars - input)}}`
      )
    },
    error: openRouterError,
  }
}
