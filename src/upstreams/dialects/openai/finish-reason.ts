import type { FinishReason, UpstreamFailure } from '../../../inference/event.ts'
import type { JsonObject } from '../../../inference/request.ts'

const REASONS: ReadonlyMap<string, FinishReason> = new Map([
  ['stop', 'stop'],
  ['length', 'length'],
  ['max_tokens', 'length'],
  ['tool_calls', 'tool_calls'],
  ['function_call', 'tool_calls'],
  ['content_filter', 'content_filter'],
])

/** Words by which an upstream says, in the place of a reason, that it did not finish: DeepSeek, SGLang, OpenRouter. */
const FAILURES: ReadonlyMap<string, UpstreamFailure> = new Map([
  [
    'insufficient_system_resource',
    {
      reason: 'overloaded',
      message: 'The upstream ran out of resources in the middle of the answer.',
      retryable: true,
    },
  ],
  ['abort', { reason: 'internal', message: 'The upstream gave the answer up.', retryable: true }],
  ['error', { reason: 'internal', message: 'The upstream failed in the middle of the answer.', retryable: true }],
])

/** The failure that an upstream's `finish_reason` stands for, if it does not stand for an end. */
export function failureOfFinish(word: string): UpstreamFailure | null {
  return FAILURES.get(word) ?? null
}

/**
 * Reads an upstream's `finish_reason`. Words that we do not know mean that the model came to its end, and a choice that
 * called a tool ends in `tool_calls` even where the upstream says that it just stopped.
 */
export function readFinishReason(word: string, calledTool: boolean): FinishReason {
  const reason = REASONS.get(word) ?? 'stop'
  return reason === 'stop' && calledTool ? 'tool_calls' : reason
}

/** The stop sequence that ended a choice: vLLM says it in `stop_reason`, SGLang in `matched_stop`, each a number where it was a token. */
export function readStopSequence(choice: JsonObject): string | undefined {
  const told = choice.stop_reason ?? choice.matched_stop
  return typeof told === 'string' && told !== '' ? told : undefined
}
