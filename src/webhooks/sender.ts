import { Agent, request } from 'undici'
import { outsideLookup, refuseInsideLiteral } from '../std/egress.ts'
import type { Endpoint } from './endpoint.ts'

/** What is read of an answer; only its status counts. */
const ANSWER_BYTES_MAX = 64 * 1024
const OUTCOME_CHARS_MAX = 200

/** What came of one try; `outcome` says it to people. */
export interface Sent {
  readonly ok: boolean
  readonly outcome: string
}

/** Sends events to one endpoint, over one connection. */
export class Sender {
  readonly #endpoint: Endpoint
  readonly #timeoutMs: number
  readonly #agent: Agent

  constructor(endpoint: Endpoint, timeoutMs: number) {
    this.#endpoint = endpoint
    this.#timeoutMs = timeoutMs
    this.#agent = new Agent({
      connections: 1,
      pipelining: 1,
      connect: { timeout: timeoutMs, ...(endpoint.allowPrivate ? {} : { lookup: outsideLookup }) },
    })
  }

  /** One try: 2xx within the time is a success, all else is not, redirects included. Rejects only when `stop` is aborted. */
  async send(id: string, body: string, nowMs: number, stop: AbortSignal): Promise<Sent> {
    const late = AbortSignal.timeout(this.#timeoutMs)
    try {
      const url = new URL(this.#endpoint.url)
      if (!this.#endpoint.allowPrivate) refuseInsideLiteral(url.hostname)
      const answer = await request(url, {
        method: 'POST',
        headers: { 'user-agent': 'Headrace', ...this.#endpoint.headers(id, body, nowMs) },
        body,
        dispatcher: this.#agent,
        signal: AbortSignal.any([stop, late]),
      })
      await answer.body.dump({ limit: ANSWER_BYTES_MAX })
      return { ok: answer.statusCode >= 200 && answer.statusCode < 300, outcome: describe(answer.statusCode) }
    } catch (error) {
      stop.throwIfAborted()
      const message = late.aborted ? `no answer within ${this.#timeoutMs} ms` : reasonOf(error)
      return { ok: false, outcome: message.slice(0, OUTCOME_CHARS_MAX) }
    }
  }

  close(): Promise<void> {
    return this.#agent.destroy()
  }
}

function describe(status: number): string {
  return status >= 300 && status < 400 ? `${status}, and redirects are not followed` : String(status)
}

function reasonOf(error: unknown): string {
  const { message, code } = error as NodeJS.ErrnoException
  return message === '' ? (code ?? 'failed') : message
}
