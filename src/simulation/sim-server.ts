/**
 * The simulated engine as an HTTP server on loopback, behind OpenAI's chat and completions wire: an upstream for tests with
 * real processes and for benchmarks. As fast as it can unless it is given a speed; with a speed or a fault rate, answers come
 * from the same simulated upstream as in the simulation, step by step. `--json` prints one JSON line with the port.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { inputTexts } from '../inference/input-texts.ts'
import type { InferenceRequest, Protocol } from '../inference/request.ts'
import { SYSTEM_CLOCK } from '../std/clock.ts'
import { isObject } from '../wire/json-object.ts'
import { PREPARED_TOKENS_MAX, PreparedAnswers } from './prepared-answers.ts'
import { choicesOf, ResponseSink } from './response-sink.ts'
import { Rng } from './rng.ts'
import type { AttemptRecord, UpstreamFault } from './simulated-attempt.ts'
import { SimulatedEngine, type SimulatedEngineOptions } from './simulated-engine.ts'
import { SimulatedUpstream } from './simulated-upstream.ts'
import { usageText } from './upstream-frames.ts'

/** How a simulated server behaves. */
export interface SimServerOptions {
  /** Output tokens a second of a sequence that runs alone; null: as fast as possible, each answer in one write. */
  readonly tokensPerSecond: number | null
  /** Length of an answer to a client that names none. */
  readonly answerTokens: number
  /** Prompt tokens that the prefix cache holds. */
  readonly cacheTokensMax: number
  /** Requests that run together when there is a speed; as many again may wait. */
  readonly slots: number
  /** Chance that an answer goes wrong in one of the simulation's ways, 0 to 1. */
  readonly faultRate: number
  /** Fixes the text of all answers and the order of faults. */
  readonly seed: number
  /** Told of each fault as its request comes in. */
  readonly onFault?: (fault: UpstreamFault) => void
  /** Chooses each request's fault, in place of chance. */
  readonly faultOf?: (asked: InferenceRequest) => UpstreamFault | null
  /** Told what became of each answer, when its connection is done with it. Only where answers are made step by step. */
  readonly onEnded?: (record: AttemptRecord) => void
  /** Sizes and speeds of the engine that are not to follow from the others. */
  readonly engine?: Partial<SimulatedEngineOptions>
}

const PATHS: Readonly<Record<string, Protocol>> = {
  '/v1/chat/completions': 'openai-chat',
  '/v1/completions': 'openai-completions',
}
const BODY_BYTES_MAX = 16 * 1024 * 1024
const CHOICES_MAX = 128
/** A step takes no less, since timers are no finer than a millisecond. */
const STEP_MS_MIN = 5
const PREFILL_TOKENS_PER_MS = 20
/** Speed of a server that has faults but was given no speed. */
const TOKENS_PER_SECOND_DEFAULT = 2000

/** A server that is not listening yet. */
export function createSimServer(options: SimServerOptions): Server {
  const paced = options.tokensPerSecond !== null || options.faultRate > 0 || options.faultOf !== undefined
  const answer = paced ? pacedAnswers(options) : preparedAnswers(options)
  const server = createServer((request, response) => {
    const protocol = request.method === 'POST' ? PATHS[request.url ?? ''] : undefined
    if (protocol === undefined) sendOther(request, response)
    else readBody(request, response, protocol, answer)
  })
  server.keepAliveTimeout = 60_000
  return server
}

type Answer = (asked: InferenceRequest, response: ServerResponse) => void

function preparedAnswers({ cacheTokensMax, answerTokens, seed }: SimServerOptions): Answer {
  const engine = new SimulatedEngine(engineOptions(cacheTokensMax, 1, 0, Number.POSITIVE_INFINITY))
  const prepared = new PreparedAnswers(seed)
  return (asked, response) => {
    const tokens = Math.min(asked.outputTokensMax ?? answerTokens, PREPARED_TOKENS_MAX)
    const { protocol, model } = asked
    const n = choicesOf(asked)
    const job = { id: '', prompt: promptOf(asked), cacheSalt: '', outputTokens: Array(n).fill(tokens) }
    engine.submit(job)
    const began = engine.step()?.began[0]
    const usage = usageText(began?.inputTokens ?? 0, began?.cachedTokens ?? 0, tokens * n)
    const [type, bytes] = asked.stream
      ? ['text/event-stream', prepared.stream(protocol, model, n, tokens, usage)]
      : ['application/json', prepared.body(protocol, model, n, tokens, usage)]
    response.writeHead(200, { 'content-type': type, 'content-length': bytes.length })
    response.end(bytes)
  }
}

function pacedAnswers(options: SimServerOptions): Answer {
  const { answerTokens, cacheTokensMax, faultRate, seed, slots } = options
  const tokenMs = 1000 / (options.tokensPerSecond ?? TOKENS_PER_SECOND_DEFAULT)
  const engine = engineOptions(cacheTokensMax, slots, tokenMs, Math.ceil(STEP_MS_MIN / tokenMs))
  // `run` tells of its attempt before it answers.
  let latest: AttemptRecord | undefined
  const upstream = new SimulatedUpstream({
    id: 'sim-server',
    clock: SYSTEM_CLOCK,
    rng: new Rng(seed),
    seed,
    engine: { ...engine, ...options.engine },
    stoppable: true,
    passesFrames: true,
    saysStarted: true,
    saysInputTokens: false,
    saysCachedTokens: true,
    runningUsage: false,
    usageAfterCancel: false,
    countsInput: false,
    latencyMs: 0,
    answerTokensMax: PREPARED_TOKENS_MAX,
    boundedAnswerRate: 1,
    faultRate: () => faultRate,
    faultOf: options.faultOf,
    onFault: options.onFault ?? (() => undefined),
    onAttempt: record => {
      latest = record
    },
  })
  return (asked, response) => {
    const sink = new ResponseSink(response, asked)
    const attempt = {
      request: asked,
      upstreamModel: asked.model,
      publicModel: asked.model,
      outputTokensMax: asked.outputTokensMax ?? answerTokens,
      cacheSalt: '',
      passthrough: asked.stream,
    }
    const handle = upstream.run(attempt, sink)
    const record = latest as AttemptRecord
    response.on('close', () => {
      handle.cancel()
      options.onEnded?.(record)
    })
    response.on('drain', () => handle.resume())
    sink.onFull = () => handle.pause()
  }
}

function engineOptions(
  cacheTokensMax: number,
  slots: number,
  tokenMs: number,
  tokensPerStep: number,
): SimulatedEngineOptions {
  return {
    cacheTokensMax,
    slots,
    queueDepthMax: slots,
    prefillTokensPerMs: PREFILL_TOKENS_PER_MS,
    tokenMs,
    tokenMsPerSequence: tokenMs / 64,
    tokensPerStep,
  }
}

function readBody(request: IncomingMessage, response: ServerResponse, protocol: Protocol, answer: Answer): void {
  const chunks: Buffer[] = []
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX) request.destroy()
    else chunks.push(chunk)
  })
  request.on('end', () => {
    const asked = readRequest(Buffer.concat(chunks), protocol)
    if (typeof asked === 'string') sendError(response, 400, asked)
    else answer(asked, response)
  })
}

let requests = 0

// As lenient as a mock may be: what it does not need it does not check.
function readRequest(bytes: Buffer, protocol: Protocol): InferenceRequest | string {
  let body: unknown
  try {
    body = JSON.parse(bytes.toString('utf8'))
  } catch {
    return 'The body is no JSON.'
  }
  if (!isObject(body)) return 'The body is no JSON object.'
  const n = typeof body.n === 'number' ? body.n : 1
  const tokens = body.max_completion_tokens ?? body.max_tokens
  if (!Number.isInteger(n) || n < 1 || n > CHOICES_MAX) return `n has to be from 1 to ${CHOICES_MAX}.`
  return {
    id: `sim_${requests++}`,
    protocol,
    model: typeof body.model === 'string' ? body.model : 'simulated',
    stream: body.stream === true,
    includeUsage: true,
    input: inputOf(body, protocol),
    sampling: { stop: [] },
    n,
    outputTokensMax: typeof tokens === 'number' && tokens >= 0 ? Math.floor(tokens) : undefined,
    body,
    inputTokensBound: bytes.length,
  }
}

function inputOf(body: Record<string, unknown>, protocol: Protocol): InferenceRequest['input'] {
  if (protocol === 'openai-completions') return { kind: 'text', prompts: promptsOf(body.prompt), echo: false }
  const messages = Array.isArray(body.messages) ? body.messages.filter(isObject) : []
  const texts = messages.map(({ role, content }) => ({
    role: role as 'user',
    content: typeof content === 'string' ? content : JSON.stringify(content ?? ''),
  }))
  return { kind: 'chat', messages: texts, tools: [], toolChoice: 'none', responseFormat: { type: 'text' } }
}

/** One prompt or several, each a text or a list of token ids. */
function promptsOf(prompt: unknown): readonly string[] {
  if (!Array.isArray(prompt)) return [String(prompt ?? '')]
  if (prompt.length === 0 || typeof prompt[0] === 'number') return [prompt.join(' ')]
  return prompt.map(each => (Array.isArray(each) ? each.join(' ') : String(each)))
}

function promptOf({ input }: InferenceRequest): string {
  return inputTexts(input).texts.join('')
}

function sendOther(request: IncomingMessage, response: ServerResponse): void {
  request.resume()
  if (request.url === '/health') {
    response.end('ok')
    return
  }
  if (request.url === '/v1/models') {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end('{"object":"list","data":[{"id":"simulated","object":"model","created":0,"owned_by":"simulation"}]}')
    return
  }
  sendError(response, 404, 'There is no such route.')
}

function sendError(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ error: { message, type: 'simulated', param: null, code: null } }))
}

/** Reads the command line and listens. */
function main(): void {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      json: { type: 'boolean', default: false },
      'tokens-per-second': { type: 'string' },
      'answer-tokens': { type: 'string', default: '16' },
      'cache-tokens': { type: 'string', default: '100000' },
      slots: { type: 'string', default: '64' },
      'fault-rate': { type: 'string', default: '0' },
      seed: { type: 'string', default: '1' },
    },
  })
  const speed = values['tokens-per-second']
  const server = createSimServer({
    tokensPerSecond: speed === undefined ? null : numberOf('tokens-per-second', speed, 0.001, 1e6),
    answerTokens: numberOf('answer-tokens', values['answer-tokens'], 0, PREPARED_TOKENS_MAX),
    cacheTokensMax: numberOf('cache-tokens', values['cache-tokens'], 0, 1e9),
    slots: numberOf('slots', values.slots, 1, 100_000),
    faultRate: numberOf('fault-rate', values['fault-rate'], 0, 1),
    seed: numberOf('seed', values.seed, 0, 2 ** 32),
  })
  server.listen(numberOf('port', values.port, 0, 65_535), '127.0.0.1', () => {
    const { port } = server.address() as AddressInfo
    process.stdout.write(
      values.json ? `${JSON.stringify({ port })}\n` : `Simulated engine on http://127.0.0.1:${port}/v1\n`,
    )
  })
}

function numberOf(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (text !== '' && value >= min && value <= max) return value
  throw new Error(`--${name} has to be a number from ${min} to ${max}, got ${JSON.stringify(text)}.`)
}

if (import.meta.main) main()
