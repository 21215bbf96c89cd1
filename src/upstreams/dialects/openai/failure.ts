import type { UpstreamFailure } from '../../../inference/event.ts'

/** Longest part of an upstream's own message that is passed on. */
const MESSAGE_CHARS_MAX = 500

/**
 * An upstream's HTTP error → our failure. What the request itself is to blame for is passed on with the upstream's words;
 * what concerns the operator's account there is not, since it is none of the client's business.
 */
export function failureOfStatus(status: number, body: string, retryAfter: string | undefined): UpstreamFailure {
  const { message, code } = readError(body)
  switch (status) {
    case 400:
    case 413:
    case 422:
      if (code === 'context_length_exceeded' || /context length|maximum context|too long/i.test(message)) {
        return { reason: 'context_length', message, status, retryable: false }
      }
      return {
        reason: 'bad_request',
        message: message || 'The upstream refused the request as invalid.',
        status,
        retryable: false,
      }
    case 401:
    case 402:
    case 403:
    case 404:
      return {
        reason: 'unavailable',
        message: `The upstream did not accept us (status ${status}).`,
        status,
        retryable: true,
      }
    case 429:
      return {
        reason: 'overloaded',
        message: 'The upstream is at its limit.',
        status,
        retryable: true,
        retryAfterMs: retryAfterMs(retryAfter),
      }
    case 503:
    case 529:
      return {
        reason: 'overloaded',
        message: 'The upstream is overloaded.',
        status,
        retryable: true,
        retryAfterMs: retryAfterMs(retryAfter),
      }
    case 408:
    case 504:
      return { reason: 'timeout', message: 'The upstream timed out.', status, retryable: true }
    default:
      return { reason: 'internal', message: `The upstream failed (status ${status}).`, status, retryable: true }
  }
}

function readError(body: string): { message: string; code: string } {
  try {
    const parsed = JSON.parse(body)
    const error = parsed?.error ?? parsed
    const message = typeof error === 'string' ? error : (error?.message ?? parsed?.detail ?? '')
    return {
      message: masked(
        String(typeof message === 'string' ? message : JSON.stringify(message)).slice(0, MESSAGE_CHARS_MAX),
      ),
      // Anthropic's wire has the code among the details.
      code: String(error?.code ?? error?.details?.error_code ?? ''),
    }
  } catch {
    return { message: '', code: '' }
  }
}

// An upstream's words may quote where it lives or what it was sent to authenticate us; neither is the client's business.
function masked(message: string): string {
  return message
    .replace(/\bhttps?:\/\/[^\s"'<>)]+/gi, '[address]')
    .replace(/\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b/g, '[address]')
    .replace(/\b(?:sk|hf|key|gsk|pk)[-_][A-Za-z0-9_*-]{6,}/g, '[key]')
    .replace(/\bBearer\s+\S+/gi, '[key]')
}

// Seconds only; the date form is too rare among model servers to deserve a parser.
function retryAfterMs(header: string | undefined): number | undefined {
  const seconds = Number(header)
  return header !== undefined && Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined
}
