/**
 * Sends a fixed number of requests at a fixed concurrency and reports what came back. Runs in a process of its own, so that its work
 * is not the gateway's: `load.ts '<json options>'` prints one JSON line.
 */
import { Pool } from 'undici'

interface LoadOptions {
  readonly port: number
  readonly headers: Record<string, string>
  readonly body: object
  readonly requests: number
  readonly concurrency: number
}

const options: LoadOptions = JSON.parse(process.argv[2] as string)
const pool = new Pool(`http://127.0.0.1:${options.port}`, { connections: options.concurrency, pipelining: 1 })
const body = JSON.stringify(options.body)
const streamed = 'stream' in options.body
let left = options.requests
let failed = 0
let frames = 0
let firstFailure = ''
const latenciesMs: number[] = []

function send(): Promise<void> {
  return new Promise(resolve => {
    const startedMs = performance.now()
    const texts: Buffer[] = []
    let status = 0
    const done = (failure: string | null) => {
      latenciesMs.push(performance.now() - startedMs)
      if (failure !== null) {
        failed++
        firstFailure ||= failure
      }
      resolve()
    }
    pool.dispatch(
      {
        method: 'POST',
        path: '/v1/chat/completions',
        headers: { 'content-type': 'application/json', ...options.headers },
        body,
      },
      {
        onRequestStart: () => undefined,
        onResponseStart: (_controller, code) => {
          status = code
        },
        onResponseData: (_controller, chunk) => {
          if (texts.length < 4 || !streamed) texts.push(chunk)
          else texts[3] = chunk
          if (streamed) frames += count(chunk)
        },
        onResponseEnd: () => {
          const text = Buffer.concat(texts).toString('utf8')
          const whole = streamed ? text.includes('[DONE]') : text.includes('"finish_reason":"stop"')
          done(status === 200 && whole ? null : `status ${status}: ${text.slice(0, 200)}`)
        },
        onResponseError: (_controller, error) => done(error.message),
      },
    )
  })
}

function count(chunk: Buffer): number {
  let frames = 0
  for (let at = chunk.indexOf('data: '); at >= 0; at = chunk.indexOf('data: ', at + 6)) frames++
  return frames
}

async function worker(): Promise<void> {
  while (left-- > 0) await send()
}

const startedMs = performance.now()
await Promise.all(Array.from({ length: options.concurrency }, worker))
const seconds = (performance.now() - startedMs) / 1000
latenciesMs.sort((a, b) => a - b)
const quantile = (q: number) => latenciesMs[Math.min(latenciesMs.length - 1, Math.floor(q * latenciesMs.length))]
process.stdout.write(
  `${JSON.stringify({ requests: options.requests, failed, firstFailure, frames, seconds, p50Ms: quantile(0.5), p99Ms: quantile(0.99) })}\n`,
)
await pool.close()
