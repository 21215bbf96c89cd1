/**
 * Sends requests at a fixed rate, whatever comes back, and reports how long each took since it was due, so that a pause of the server
 * counts for all that it held up: `paced-load.ts '<json options>'` prints one JSON line.
 */
import { Pool } from 'undici'
import { secretOf } from './keys.ts'

interface PacedLoad {
  readonly port: number
  readonly perSecond: number
  readonly requests: number
  /** Requests before these, which are not reported. */
  readonly warmUp: number
  readonly keys: number
}

const options: PacedLoad = JSON.parse(process.argv[2] as string)
const pool = new Pool(`http://127.0.0.1:${options.port}`, { connections: 256, pipelining: 1 })
const body = JSON.stringify({
  model: 'mock',
  max_tokens: 16,
  messages: [{ role: 'user', content: 'What is a headrace?' }],
})
const latenciesMs: number[] = []
const total = options.warmUp + options.requests
let failed = 0
let sent = 0
let ended = 0

await new Promise<void>(resolve => {
  const startedMs = performance.now()
  const send = (index: number, dueMs: number) => {
    let status = 0
    const end = (ok: boolean) => {
      if (!ok) failed++
      if (index >= options.warmUp) latenciesMs.push(performance.now() - dueMs)
      if (++ended === total) resolve()
    }
    // Spread over all keys, and the same in each run.
    const key = (index * 7919) % options.keys
    pool.dispatch(
      {
        method: 'POST',
        path: '/v1/chat/completions',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${secretOf(key)}` },
        body,
      },
      {
        onRequestStart: () => undefined,
        onResponseStart: (_controller, code) => {
          status = code
        },
        onResponseData: () => undefined,
        onResponseEnd: () => end(status === 200),
        onResponseError: () => end(false),
      },
    )
  }
  const timer = setInterval(() => {
    const due = Math.min(total, Math.floor(((performance.now() - startedMs) * options.perSecond) / 1000))
    for (; sent < due; sent++) send(sent, startedMs + ((sent + 1) * 1000) / options.perSecond)
    if (sent === total) clearInterval(timer)
  }, 1)
})
latenciesMs.sort((a, b) => a - b)
const quantile = (q: number) => latenciesMs[Math.min(latenciesMs.length - 1, Math.floor(q * latenciesMs.length))]
process.stdout.write(`${JSON.stringify({ failed, p50Ms: quantile(0.5), p99Ms: quantile(0.99) })}\n`)
await pool.close()
