/**
 * The upstream that all gateways of the benchmark share: answers chat completions from prepared bytes, at next to no cost of its
 * own. `max_tokens` says how many one-token frames a streamed answer has. `user: "paced"` sends a frame every few milliseconds,
 * so that each arrives as a chunk of its own; else all leave at once. Prints its port as one JSON line.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const PACE_MS = 4
const HEAD = { id: 'chatcmpl-mock', created: 1_700_000_000, model: 'mock' }
const ROLE = frame({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] })
const TOKEN = frame({ choices: [{ index: 0, delta: { content: ' token' }, finish_reason: null }] })
const FINISH = frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })

function frame(fields: object): string {
  return `data: ${JSON.stringify({ ...HEAD, object: 'chat.completion.chunk', ...fields })}\n\n`
}

function usage(tokens: number): object {
  return {
    prompt_tokens: 20,
    completion_tokens: tokens,
    total_tokens: 20 + tokens,
    prompt_tokens_details: { cached_tokens: 4 },
  }
}

const wholeStreams = new Map<number, Buffer>()
const bodies = new Map<number, Buffer>()

function wholeStream(tokens: number): Buffer {
  let bytes = wholeStreams.get(tokens)
  if (bytes === undefined) {
    bytes = Buffer.from(
      `${ROLE}${TOKEN.repeat(tokens)}${FINISH}${frame({ choices: [], usage: usage(tokens) })}data: [DONE]\n\n`,
    )
    wholeStreams.set(tokens, bytes)
  }
  return bytes
}

function body(tokens: number): Buffer {
  let bytes = bodies.get(tokens)
  if (bytes === undefined) {
    const message = { role: 'assistant', content: ' token'.repeat(tokens) }
    bytes = Buffer.from(
      JSON.stringify({
        ...HEAD,
        object: 'chat.completion',
        choices: [{ index: 0, message, finish_reason: 'stop' }],
        usage: usage(tokens),
      }),
    )
    bodies.set(tokens, bytes)
  }
  return bytes
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const asked = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    const tokens: number = asked.max_tokens ?? 16
    if (asked.stream !== true) {
      const bytes = body(tokens)
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': bytes.length })
      response.end(bytes)
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    if (asked.user !== 'paced') {
      response.end(wholeStream(tokens))
      return
    }
    response.write(ROLE)
    let left = tokens
    const timer = setInterval(() => {
      if (left-- > 0) {
        response.write(TOKEN)
        return
      }
      clearInterval(timer)
      response.end(`${FINISH}${frame({ choices: [], usage: usage(tokens) })}data: [DONE]\n\n`)
    }, PACE_MS)
    response.on('close', () => clearInterval(timer))
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () =>
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`),
)
