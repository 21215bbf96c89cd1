import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after } from 'node:test'

/** An upstream that chats as a test tells it to, and remembers what it was asked. */

/** What one answer says: deltas of OpenAI's chat wire in order; a promise holds the rest back until it is resolved. */
export type Script = readonly (ScriptedDelta | Promise<void>)[]

/** A delta, one token, or the finish. */
export type ScriptedDelta = object | { readonly finish: string }

/** A request as the upstream got it. */
export interface Asked {
  readonly messages: readonly { readonly role: string; readonly [field: string]: unknown }[]
  readonly [field: string]: unknown
}

/** A scripted upstream that runs. */
export interface ScriptedUpstream {
  readonly baseUrl: string
  readonly asked: readonly Asked[]
}

/** Tokens that every answer reports for its input, how many of them as cached, and how many of its output as reasoning. */
export const SCRIPTED_USAGE = { input: 30, cached: 10, reasoning: 1 } as const

/** Starts one; closed after the file's tests. A script that ends without a finish breaks the connection off. */
export async function startScripted(scriptFor: (asked: Asked, count: number) => Script): Promise<ScriptedUpstream> {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body: Asked = JSON.parse(Buffer.concat(chunks).toString('utf8'))
      asked.push(body)
      void play(scriptFor(body, asked.length), response)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, asked }
}

async function play(script: Script, response: ServerResponse): Promise<void> {
  response.on('error', () => undefined)
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  let output = 0
  for (const step of script) {
    if (step instanceof Promise) {
      await step
      continue
    }
    const finish = 'finish' in step ? step.finish : null
    if (finish === null) output++
    response.write(frame([{ index: 0, delta: finish === null ? step : {}, finish_reason: finish }]))
    if (finish === null) continue
    const { input, cached, reasoning } = SCRIPTED_USAGE
    const usage = {
      ...{ prompt_tokens: input, completion_tokens: output, total_tokens: input + output },
      prompt_tokens_details: { cached_tokens: cached },
      completion_tokens_details: { reasoning_tokens: Math.min(reasoning, output) },
    }
    response.end(`${frame([], { usage })}data: [DONE]\n\n`)
    return
  }
  response.destroy()
}

function frame(choices: readonly object[], more: object = {}): string {
  const head = { id: 'chatcmpl-x', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'scripted' }
  return `data: ${JSON.stringify({ ...head, choices, ...more })}\n\n`
}

const TOKENIZER = join(import.meta.dirname, 'tokenizer/tokenizer.json')

/** The section `upstreams` of a server that offers such an upstream's model as `scripted`, and as `counted` with its tokenizer. */
export function scriptedConfig(
  baseUrl: string,
  price: { input: string; cachedInput: string; output: string },
): object[] {
  const scripted = { model: 'scripted', name: 'scripted', contextTokens: 32_768, price }
  const counted = { ...scripted, model: 'counted', name: 'counted', tokenizer: TOKENIZER }
  return [{ id: 'scripted', baseUrl, allowPrivate: true, models: [scripted, counted] }]
}

/** Deltas of one token each for the words of a text. */
export function words(text: string, field: 'content' | 'reasoning_content' = 'content'): object[] {
  return text.split(/(?<= )/).map(word => ({ [field]: word }))
}

/** The deltas of a tool call whose arguments come in two pieces. */
export function call(index: number, id: string, name: string, argumentsJson: string): object[] {
  const half = argumentsJson.length >> 1
  const piece = (fields: object) => ({ tool_calls: [{ index, ...fields }] })
  return [
    piece({ id, type: 'function', function: { name, arguments: '' } }),
    piece({ function: { arguments: argumentsJson.slice(0, half) } }),
    piece({ function: { arguments: argumentsJson.slice(half) } }),
  ]
}
