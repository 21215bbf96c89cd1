import { endAll, newHome, pullFixture, type ServerProcess, startServer } from '../support/server-process.ts'
import { REASONING, RESULT_PREFIX, TEXT } from './scripted-answer.ts'
import {
  EMBEDDING_DIMENSIONS,
  HEALING_TEXT,
  SCRIPTED_MODELS,
  type ScriptedModel,
  startScriptedUpstream,
} from './scripted-upstream.ts'

/** The server that all clients are pointed to: one fixture on the embedded engine, and models that follow a script. */

/** Dollars per million tokens; half nanodollars come up, so that a wrong rounding shows. */
const PRICE = { input: '1.3005', cachedInput: '0.1005', output: '2.6' }
const BODY_BYTES_MAX = 4 * 2 ** 20
/** Agents ask for 32000 tokens of output behind long system prompts. */
const CONTEXT_TOKENS = 262_144
/** What the models that talk can do. */
const CHATS = { chat: true, completion: true, tools: true, reasoning: true, jsonSchema: true, logprobs: false }
/** The port of the discard service, which nothing offers any more. */
const CLOSED_PORT_URL = 'http://127.0.0.1:9/v1'
/** The right length, and nobody's. */
const WRONG_KEY = `sk-hr-${'0'.repeat(33)}`

/** What a client's script is told; `test/conformance/lib/checks.mjs` reads it. */
export interface ClientWorld {
  readonly url: string
  readonly key: string
  readonly brokeKey: string
  readonly wrongKey: string
  readonly models: Readonly<Record<'plain' | 'missing' | ScriptedModel, string>>
  readonly folder: string
  readonly bodyBytesMax: number
}

/** The texts of the script, for the scripts of clients. */
export const SCRIPT = {
  text: TEXT,
  reasoning: REASONING,
  resultPrefix: RESULT_PREFIX,
  dimensions: EMBEDDING_DIMENSIONS,
} as const

/** A running server with its models. */
export interface World {
  readonly server: ServerProcess
  /** Makes a key for a client, and tells all that its script needs. */
  admit(client: string, url: string, folder: string): Promise<ClientWorld>
  /** Ends the row of failures of the model that dies, which would be left alone after a few. */
  heal(key: string): Promise<void>
  stop(): Promise<void>
}

/** Public ids have a slash, as those of most open-weight models have. */
function publicId(model: string): string {
  return `acme/${model}`
}

/** Starts the scripted upstream and a server on a home of its own. Call `abandonWorld` when it is not stopped in good order. */
export async function startWorld(): Promise<World> {
  const upstream = await startScriptedUpstream()
  const home = newHome()
  await pullFixture(home, 'llama', { input: PRICE.input, cached: PRICE.cachedInput, output: PRICE.output })
  const names = Object.keys(SCRIPTED_MODELS) as ScriptedModel[]
  const server = await startServer(home, {
    server: { bodyBytesMax: BODY_BYTES_MAX },
    engine: { contextTokens: 4096, parallel: 2, promptCacheBytesMax: 64 * 2 ** 20 },
    money: { startingCredit: '1000.00' },
    log: { level: 'info', format: 'json' },
    // One each, so that the failures of one do not make the others look ill.
    upstreams: names.map(name => ({
      id: name,
      // Nothing listens there.
      baseUrl: name === 'down' ? CLOSED_PORT_URL : upstream.baseUrl,
      allowPrivate: true,
      models: [
        {
          model: publicId(name),
          name,
          contextTokens: CONTEXT_TOKENS,
          capabilities: name === 'embedder' ? { chat: false, embeddings: true } : CHATS,
          price: PRICE,
        },
      ],
    })),
  })
  const org = (await server.control.listOrgs()).data[0]?.id ?? ''
  const broke = await server.control.createOrg({ name: 'broke' })
  const brokeKey = (await server.control.createKey({ org: broke.id, name: 'broke' })).secret
  const models = Object.fromEntries(names.map(name => [name, publicId(name)])) as Record<ScriptedModel, string>
  return {
    server,
    async admit(client, url, folder) {
      const { secret } = await server.control.createKey({ org, name: client })
      return {
        url,
        key: secret,
        brokeKey,
        wrongKey: WRONG_KEY,
        models: { ...models, plain: 'llama', missing: publicId('missing') },
        folder,
        bodyBytesMax: BODY_BYTES_MAX,
      }
    },
    async heal(key) {
      const answer = await fetch(`${server.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: models.dies, messages: [{ role: 'user', content: HEALING_TEXT }] }),
      })
      await answer.arrayBuffer()
    },
    async stop() {
      await server.stop()
      upstream.close()
      endAll()
    },
  }
}

/** Kills what is left of a world; for exits in a hurry. */
export const abandonWorld = endAll
