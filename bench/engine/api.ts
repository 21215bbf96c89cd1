/** A client of the public API that does as little as a client can: it looks for the first text and for the usage at the end. */
import { Pool } from 'undici'
import { type Ask, atConcurrency, type Outcome, SAMPLING } from './workload.ts'

/** One streamed answer. */
export interface Answer {
  readonly inputTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
  /** From sending the request to the first frame. */
  readonly ttftMs: number
  /** Frames with text. */
  readonly frames: number
}

const FRAME = Buffer.from('"finish_reason":null')
/** The end of a stream is at most the usage frame and the end mark. */
const END_BYTES = 4096

/** A server's chat endpoint with a key. */
export class Api {
  readonly #pool: Pool
  readonly #key: string
  readonly #model: string

  constructor(url: string, key: string, model: string, connections: number) {
    this.#pool = new Pool(url, { connections, pipelining: 1 })
    this.#key = key
    this.#model = model
  }

  /** Streams one answer to its end. Rejects when it is not a whole one. */
  chat(ask: Ask): Promise<Answer> {
    const body = JSON.stringify({
      model: this.#model,
      messages: ask.messages,
      max_tokens: ask.outputTokens,
      temperature: SAMPLING.temperature,
      top_p: SAMPLING.topP,
      top_k: SAMPLING.topK,
      min_p: SAMPLING.minP,
      seed: SAMPLING.seed,
      ignore_eos: SAMPLING.ignoreEos,
      stream: true,
      stream_options: { include_usage: true },
    })
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${this.#key}` }
    return new Promise((resolve, reject) => {
      const sentMs = performance.now()
      let status = 0
      let ttftMs = 0
      let frames = 0
      let end: Buffer = Buffer.alloc(0)
      this.#pool.dispatch(
        { method: 'POST', path: '/v1/chat/completions', headers, body },
        {
          onRequestStart: () => undefined,
          onResponseStart: (_controller, code) => {
            status = code
          },
          onResponseData: (_controller, chunk) => {
            const found = count(chunk)
            if (frames === 0 && found > 0) ttftMs = performance.now() - sentMs
            frames += found
            end = chunk.length >= END_BYTES ? chunk : Buffer.concat([end, chunk]).subarray(-END_BYTES)
          },
          onResponseEnd: () => {
            const text = end.toString('utf8')
            if (status !== 200 || !text.endsWith('data: [DONE]\n\n'))
              return reject(new Error(`The API answered ${status}: ${text.slice(0, 500)}`))
            const number = (field: string): number => {
              const match = new RegExp(`"${field}":(\\d+)`).exec(text)
              if (match === null) throw new Error(`The usage has no ${field}: ${text}`)
              return Number(match[1])
            }
            try {
              const inputTokens = number('prompt_tokens')
              const cachedTokens = number('cached_tokens')
              resolve({ inputTokens, cachedTokens, outputTokens: number('completion_tokens'), ttftMs, frames })
            } catch (error) {
              reject(error)
            }
          },
          onResponseError: (_controller, error) => reject(error),
        },
      )
    })
  }

  /** Runs all asks, so many at a time. */
  async run(asks: readonly Ask[], concurrency: number): Promise<Outcome & { readonly frames: number }> {
    const startedMs = performance.now()
    const sum = { inputTokens: 0, cachedTokens: 0, outputTokens: 0, frames: 0 }
    await atConcurrency(asks, concurrency, async ask => {
      const answer = await this.chat(ask)
      for (const field of ['inputTokens', 'cachedTokens', 'outputTokens', 'frames'] as const)
        sum[field] += answer[field]
    })
    return { seconds: (performance.now() - startedMs) / 1000, ...sum }
  }

  close(): Promise<void> {
    return this.#pool.close()
  }
}

function count(chunk: Buffer): number {
  let frames = 0
  for (let at = chunk.indexOf(FRAME); at >= 0; at = chunk.indexOf(FRAME, at + FRAME.length)) frames++
  return frames
}
