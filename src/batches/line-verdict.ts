/** The answer to one line's request. */
export interface LineAnswer {
  readonly status: number
  /** JSON text: the answer, or an error body of the line's protocol. */
  readonly body: string
  /** How long the answer said to wait; null: it did not. */
  readonly retryAfterMs: number | null
}

/** Why a line waits: an error that may pass. */
export interface LineError {
  readonly code: string
  readonly message: string
}

/** What is to become of a line after an answer. */
export type LineVerdict =
  | { readonly kind: 'completed' }
  /** The answer is the line's result. */
  | { readonly kind: 'failed' }
  /** The line is run again, as often as it takes until the window ends. */
  | { readonly kind: 'later'; readonly error: LineError }
  /** As `later`, but counted: see `TRIES_MAX`. */
  | { readonly kind: 'again'; readonly error: LineError }

/** So often a line is run that meets a failing upstream, which may be the line's own fault; then the error is its result. */
export const TRIES_MAX = 5

/**
 * Decides by an answer. A batch has a day, so what may pass is waited for: too much work (429, 503), and also want of money (402),
 * since credit can be added, budgets begin anew and holds end; a customer who runs out of credit in the night finds a batch that goes
 * on, instead of thousands of lines that failed and have to be found and handed in again.
 */
export function verdictOn({ status, body }: LineAnswer): LineVerdict {
  if (status === 200) return { kind: 'completed' }
  if (![402, 429, 500, 502, 503, 504].includes(status)) return { kind: 'failed' }
  const error = errorOf(body)
  // Nothing that passes by itself: an operator forgot something, and the customer should know soon.
  if (error.code === 'model_price_missing') return { kind: 'failed' }
  return { kind: status === 402 || status === 429 || status === 503 ? 'later' : 'again', error }
}

/** Code and message of an error body, of whichever protocol. */
function errorOf(body: string): LineError {
  const unknown = { code: 'server_error', message: '' }
  try {
    const { error } = JSON.parse(body) as {
      error?: { code?: unknown; message?: unknown; details?: { error_code?: unknown } }
    }
    const code = error?.details?.error_code ?? error?.code
    return {
      code: typeof code === 'string' ? code : unknown.code,
      message: typeof error?.message === 'string' ? error.message : '',
    }
  } catch {
    return unknown
  }
}
