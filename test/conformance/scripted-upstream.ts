import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ScriptedAnswer, scriptedAnswer } from './scripted-answer.ts'

/** An upstream on loopback whose models each do one thing, in OpenAI's wire form as an engine speaks it. */

/** What its models do, by name. */
export const SCRIPTED_MODELS = {
  /** Reasons and talks. */
  talker: 'talks',
  /** Calls a tool where there is one, and tells its result. */
  caller: 'calls',
  /** Breaks its connection off in the middle of a text; whole after `HEALING_TEXT`. */
  dies: 'dies',
  /** Refuses with 429. */
  overloaded: 'refuses',
  /** Is not there: its server points to a closed port. */
  down: 'is away',
  /** Goes on and on, until it is stopped. */
  endless: 'goes on',
  /** Talks, and tells what a prefix cache would have saved; of the others a quarter is cached, always. */
  rememberer: 'remembers',
  /** Turns texts into vectors. */
  embedder: 'embeds',
} as const

export type ScriptedModel = keyof typeof SCRIPTED_MODELS

/** Failures in a row make Headrace leave a model alone for a while: an answer to this in between ends the row. */
export const HEALING_TEXT = 'Answer whole.'
/** Length of the embedder's vectors. */
export const EMBEDDING_DIMENSIONS = 8

const BODY_BYTES_MAX = 64 * 2 ** 20
const DIES_AFTER_TEXTS = 3
const ENDLESS_PACE_MS = 5
/** An answer that nobody stops ends by itself after half a minute. */
const ENDLESS_TEXTS_MAX = 6_000

type Json = Record<string, unknown>

/** Starts it on any free port; `baseUrl` is up to and with `/v1`. */
export async function startScriptedUpstream(): Promise<{ baseUrl: string; close(): void }> {
  const server = createServer((request, response) => {
    readBody(request)
      .then(body => answer(request.url ?? '', body, response))
      .catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

async function readBody(request: IncomingMessage): Promise<Json> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX) throw new Error('a body that Headrace should have refused')
    chunks.push(chunk)
  }
  return chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString('utf8'))
}

function answer(url: string, body: Json, response: ServerResponse): void {
  const model = String(body.model)
  if (model === 'overloaded') refuse(response, 429, 'The model is at capacity.')
  else if (url.endsWith('/embeddings')) sendJson(response, 200, embeddings(body))
  else if (url.endsWith('/rerank')) sendJson(response, 200, rerank(body))
  else if (model === 'dies' && !JSON.stringify(body).includes(HEALING_TEXT)) die(response, model, url)
  else if (model === 'endless') goOn(response, model, url)
  else if (url.endsWith('/completions')) streamAnswer(response, model, url, body)
  else refuse(response, 404, `There is nothing at ${url}.`)
}

function streamAnswer(response: ServerResponse, model: string, url: string, body: Json): void {
  const chat = isChat(url)
  const said = scriptedAnswer(chat ? body : { messages: [{ role: 'user', content: body.prompt }] }, model === 'caller')
  const usage = model === 'rememberer' ? { ...said.usage, cached: cachedTokens(body, said.usage.input) } : said.usage
  const send = opened(response, model, chat)
  const finish = said.call === null ? 'stop' : 'tool_calls'
  if (chat) {
    for (const reasoning of pieces(said.reasoning)) send({ reasoning_content: reasoning })
    if (said.call !== null) sendCall(send, said.call)
  }
  for (const text of pieces(said.text)) send({ content: text })
  send({}, finish)
  response.write(frame(model, chat, { choices: [], usage: usageJson(usage) }))
  response.end('data: [DONE]\n\n')
}

/** Prompts that the rememberer has seen, as far as a prefix of theirs may come again. */
const seen: string[] = []
const SEEN_MAX = 64

/** The part of a prompt that an earlier one began with, in whole tokens, at least one less than it has. */
function cachedTokens({ tools, messages }: Json, input: number): number {
  const prompt = JSON.stringify([tools, messages])
  const longest = Math.max(0, ...seen.map(earlier => commonLength(earlier, prompt)))
  seen.unshift(prompt)
  seen.length = Math.min(seen.length, SEEN_MAX)
  return Math.min(input - 1, Math.floor((input * longest) / prompt.length))
}

function commonLength(a: string, b: string): number {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return length
}

/** The name and id whole, the arguments in two parts, as engines send them. */
function sendCall(send: Send, call: NonNullable<ScriptedAnswer['call']>): void {
  const half = Math.ceil(call.arguments.length / 2)
  const head = { id: `call_${Math.random().toString(36).slice(2, 12)}`, type: 'function' }
  send({ tool_calls: [{ index: 0, ...head, function: { name: call.name, arguments: '' } }] })
  for (const part of [call.arguments.slice(0, half), call.arguments.slice(half)])
    send({ tool_calls: [{ index: 0, function: { arguments: part } }] })
}

function die(response: ServerResponse, model: string, url: string): void {
  const send = opened(response, model, isChat(url))
  for (let i = 0; i < DIES_AFTER_TEXTS; i++) send({ content: 'half ' })
  // What was written has to be gone before the connection breaks, else it breaks before the answer began.
  response.write('', () => setTimeout(() => response.destroy(), 50))
}

function goOn(response: ServerResponse, model: string, url: string): void {
  const send = opened(response, model, isChat(url))
  let texts = 0
  const timer = setInterval(() => {
    send({ content: 'on ' })
    if (++texts >= ENDLESS_TEXTS_MAX) response.destroy()
  }, ENDLESS_PACE_MS)
  response.on('close', () => clearInterval(timer))
}

type Send = (delta: Json, finish?: string) => void

function opened(response: ServerResponse, model: string, chat: boolean): Send {
  response.on('error', () => undefined)
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const send: Send = (delta, finish = undefined) => {
    const said = chat ? { delta } : { text: delta.content ?? '', logprobs: null }
    response.write(frame(model, chat, { choices: [{ index: 0, ...said, finish_reason: finish ?? null }] }))
  }
  if (chat) send({ role: 'assistant', content: '' })
  return send
}

function frame(model: string, chat: boolean, fields: Json): string {
  const object = chat ? 'chat.completion.chunk' : 'text_completion'
  return `data: ${JSON.stringify({ id: 'scripted', object, created: 1_780_000_000, model, ...fields })}\n\n`
}

function usageJson({ input, cached, reasoning, output }: ScriptedAnswer['usage']): Json {
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: { reasoning_tokens: reasoning },
  }
}

function embeddings(body: Json): Json {
  const inputs = Array.isArray(body.input) && typeof body.input[0] !== 'number' ? body.input : [body.input]
  const tokens = inputs.reduce((sum, input) => sum + 2 + String(input).length, 0)
  return {
    object: 'list',
    model: body.model,
    data: inputs.map((input, index) => ({ object: 'embedding', index, embedding: vectorOf(String(input)) })),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  }
}

/** Different for different texts, of length one. */
function vectorOf(text: string): number[] {
  const raw = Array.from(
    { length: EMBEDDING_DIMENSIONS },
    (_, i) => 1 + ((text.length + (text.codePointAt(i) ?? i)) % 7),
  )
  const length = Math.hypot(...raw)
  return raw.map(each => each / length)
}

function rerank(body: Json): Json {
  const documents = Array.isArray(body.documents) ? body.documents : []
  return {
    model: body.model,
    results: documents.map((_, index) => ({ index, relevance_score: 1 / (index + 2) })),
    usage: { prompt_tokens: 10 * documents.length, total_tokens: 10 * documents.length },
  }
}

function refuse(response: ServerResponse, status: number, message: string): void {
  sendJson(response, status, { error: { message, type: 'server_error', param: null, code: null } })
}

function sendJson(response: ServerResponse, status: number, body: Json): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

function pieces(text: string): string[] {
  return text.match(/\S+\s*/g) ?? []
}

function isChat(url: string): boolean {
  return url.endsWith('/chat/completions')
}
