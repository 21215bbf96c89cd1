import type { z } from '@hono/zod-openapi'
import type { InferenceRequest, Surface } from '../../inference/request.ts'
import { parseJsonBody } from '../../wire/json.ts'
import { checkBody } from '../check-body.ts'
import { decodeCommon, decodeSampling } from '../common-request.ts'
import { invalid, unsupported } from '../fields.ts'
import { withFirstModel, withoutRouting } from '../routing.ts'
import { CompletionBody } from './schema.ts'

/** OpenAI's default of `max_tokens` on this wire. */
const OUTPUT_TOKENS_DEFAULT = 16
/** Most choices of one request, over all its prompts. */
const CHOICES_MAX = 1024
/** Begin mark and the three marks of a fill-in-the-middle template, with room. */
const PROMPT_OVERHEAD_TOKENS = 16

type Checked = z.output<typeof CompletionBody>

/** Reads the body of `POST /v1/completions`. Throws `ApiError` with `param`. */
export function decodeCompletion(bytes: Uint8Array, requestId: string, surface: Surface = 'openai'): InferenceRequest {
  const said = withFirstModel(parseJsonBody(bytes))
  const checked = checkBody(CompletionBody, said)
  const common = decodeCommon(checked, surface)
  const prompts = decodePrompts(checked.prompt)
  if (common.n * prompts.length > CHOICES_MAX) {
    throw invalid('n', `so small that n times the number of prompts is at most ${CHOICES_MAX}`, common.n)
  }
  if ((checked.best_of ?? common.n) !== common.n)
    throw unsupported('best_of', "has to equal 'n'; choices are not ranked.")
  const { suffix } = checked
  return {
    id: requestId,
    protocol: 'openai-completions',
    ...common,
    input: {
      kind: 'text',
      prompts,
      echo: checked.echo ?? false,
      suffix: suffix || undefined,
    },
    sampling: decodeSampling(checked, checked.logprobs ?? undefined),
    // Zero is meant: evaluation harnesses ask for the log probabilities of the prompt alone.
    outputTokensMax: checked.max_tokens ?? OUTPUT_TOKENS_DEFAULT,
    body: withoutRouting(said),
    inputTokensBound: inputTokensBound(prompts, suffix ?? ''),
  }
}

function decodePrompts(prompt: Checked['prompt']): readonly (string | readonly number[])[] {
  if (typeof prompt === 'string') return [prompt]
  return isTokenIds(prompt) ? [prompt] : prompt
}

function isTokenIds(prompt: Exclude<Checked['prompt'], string>): prompt is number[] {
  return typeof prompt[0] === 'number'
}

/** Byte-level and byte-fallback tokenizers make no more tokens than bytes; the suffix is given with every prompt. */
function inputTokensBound(prompts: readonly (string | readonly number[])[], suffix: string): number {
  let bound = 0
  for (const prompt of prompts) bound += typeof prompt === 'string' ? Buffer.byteLength(prompt) : prompt.length
  return bound + prompts.length * (PROMPT_OVERHEAD_TOKENS + Buffer.byteLength(suffix))
}
