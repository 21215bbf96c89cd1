import { hash } from 'node:crypto'
import type { OutgoingHttpHeaders } from 'node:http'
import { ApiError } from '../errors.ts'
import type { Protocol } from '../inference/request.ts'
import type { StoredAnswer } from '../ledger/stored-answer.ts'
import { AnswerRecorder } from './answer-recorder.ts'
import type { ClientPort } from './client-port.ts'

/** Visible ASCII, as a UUID or a name of the client's own. */
const KEY = /^[\x21-\x7e]{1,255}$/
/** When a client that repeats too early may come again. */
const IN_PROGRESS_RETRY_MS = 1000

/** What repetitions are recognised with. */
export interface IdempotencyOptions {
  /** Looks up what is on disk; an answer that is over may be found yet. */
  readonly find: (keyHash: string) => Promise<StoredAnswer | null>
  /** How long an answer can be had again. */
  readonly keepMs: number
  /** Longest answer that is stored. */
  readonly answerBytesMax: number
}

/**
 * Makes sure that of the requests under one `Idempotency-Key` of an API key at most one is answered whole and charged for it: while one
 * runs, others are refused; once it was answered whole, others get the stored answer. What runs is known in memory alone, so after a
 * crash every key is free whose answer did not become durable.
 */
export class Idempotency {
  readonly #options: IdempotencyOptions
  /** Fingerprint of the request that has the key now, by the key's hash. */
  readonly #running = new Map<string, string>()

  constructor(options: IdempotencyOptions) {
    this.#options = options
  }

  /**
   * Takes the key for a request, which has to give it back by `end`, and looks up what was answered before.
   *
   * @throws ApiError 400 for what is no key, 409 while another request has it, 422 when it was used for another request.
   */
  async begin(
    key: string | readonly string[],
    apiKeyId: string,
    protocol: Protocol,
    body: Uint8Array,
    nowMs: number,
  ): Promise<Once> {
    if (typeof key !== 'string' || !KEY.test(key))
      throw new ApiError('invalid_value', 'Idempotency-Key has to be 1 to 255 visible ASCII characters.', {
        param: 'Idempotency-Key',
      })
    const keyHash = hash('sha256', `${apiKeyId}\n${key}`)
    // The hash goes in as a salt: from the fingerprint alone nobody can find out whether a guessed prompt was asked.
    const fingerprint = hash('sha256', Buffer.concat([Buffer.from(`${keyHash}\n${protocol}\n`), body]))
    const running = this.#running.get(keyHash)
    if (running !== undefined) throw running === fingerprint ? inProgress() : reused()
    // Taken before the look-up, so that of two at once only one looks.
    this.#running.set(keyHash, fingerprint)
    const end = () => void this.#running.delete(keyHash)
    try {
      const found = await this.#options.find(keyHash)
      const stored = found !== null && found.expiresMs > nowMs ? found : null
      if (stored !== null && stored.fingerprint !== fingerprint) throw reused()
      return new Once(keyHash, fingerprint, stored, this.#options, end)
    } catch (error) {
      end()
      throw error
    }
  }
}

/** One request that has its key to itself, from `begin` to `end`. */
export class Once {
  /** What was answered before; null: this request is the first. */
  readonly stored: StoredAnswer | null
  /** Gives the key back: after the settlement is durable, or when there is none. */
  readonly end: () => void
  readonly #keyHash: string
  readonly #fingerprint: string
  readonly #options: IdempotencyOptions
  #recorder: AnswerRecorder | null = null

  constructor(
    keyHash: string,
    fingerprint: string,
    stored: StoredAnswer | null,
    options: IdempotencyOptions,
    end: () => void,
  ) {
    this.#keyHash = keyHash
    this.#fingerprint = fingerprint
    this.stored = stored
    this.#options = options
    this.end = end
  }

  /** The client's port, through which the answer is remembered. */
  record(client: ClientPort): ClientPort {
    this.#recorder = new AnswerRecorder(client, this.#options.answerBytesMax)
    return this.#recorder
  }

  /** Whether the answer is short enough to be stored when so many bytes follow. */
  fits(moreBytes: number): boolean {
    return this.#recorder?.fits(moreBytes) ?? false
  }

  /** The answer to be stored with its settlement; `headers` where none were sent yet, `last` what is still to be sent. */
  answer(requestId: string, headers: OutgoingHttpHeaders, last: Uint8Array, nowMs: number): StoredAnswer | undefined {
    if (this.#recorder === null) return undefined
    return {
      keyHash: this.#keyHash,
      fingerprint: this.#fingerprint,
      requestId,
      ...this.#recorder.whole(headers, last),
      expiresMs: nowMs + this.#options.keepMs,
    }
  }
}

/** Sends an answer again as it was; it says of itself that it is a repetition. */
export function replay(client: ClientPort, { status, headers, body }: StoredAnswer): void {
  client.head(status, { ...headers, 'idempotent-replayed': 'true', 'content-length': body.length })
  client.end(body)
}

function inProgress(): ApiError {
  return new ApiError('idempotency_in_progress', 'The first request with this Idempotency-Key has not ended yet.', {
    retryAfterMs: IN_PROGRESS_RETRY_MS,
  })
}

function reused(): ApiError {
  return new ApiError('idempotency_key_reused', 'This Idempotency-Key was used for another request.', {
    param: 'Idempotency-Key',
  })
}
