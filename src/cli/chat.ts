import type { Command } from 'commander'
import type { Config } from '../config/schema.ts'
import { allRows, type ControlClient } from '../control/client.ts'
import { countArgument } from './arguments.ts'
import { converse } from './chat-loop.ts'
import { type ChatAnswer, type ChatMessage, type ChatTarget, streamChat } from './chat-stream.ts'
import { CliError, EXIT, type ExitCode } from './cli-error.ts'
import { setExitCode } from './exit-code.ts'
import type { Io } from './io.ts'
import { printable, printableLines } from './output/style.ts'
import { formatCount, formatDuration } from './output/units.ts'
import { pickOrg } from './pick-org.ts'
import { renderError } from './report-error.ts'
import { openSession, type Session } from './session.ts'

interface ChatFlags {
  readonly model?: string
  readonly key?: string
  readonly url?: string
  readonly org?: string
  readonly system?: string
  readonly maxTokens?: number
}

/** A chat's own key is revoked when the chat ends; should that fail, it ends by itself. */
const KEY_LIFE_MS = 24 * 60 * 60 * 1000
const PROMPT_BYTES_MAX = 8 * 1024 * 1024

/** `headrace chat [prompt...]`. */
export function register(program: Command, io: Io): void {
  program
    .command('chat')
    .summary('chat with a model in the terminal')
    .description(
      'Chats with a model of the server that runs on this home, and shows tokens, cost and speed under each answer. ' +
        'The key is --key, else HEADRACE_API_KEY, else one made for this chat and revoked at its end. ' +
        'With a prompt, or one piped in, it answers once; the answer goes to standard output, the figures to standard error.',
    )
    .argument('[prompt...]', 'ask this one question')
    .option('--model <model>', 'which model; default the default model')
    .option('--key <key>', 'API key (HEADRACE_API_KEY)')
    .option('--org <org>', 'whose credit pays for a key made for this chat; not needed while there is one org')
    .option('--url <url>', 'another OpenAI-compatible API, up to and with /v1; needs a key')
    .option('--system <text>', 'instructions before the first message')
    .option('--max-tokens <count>', 'longest answer', countArgument)
    .addHelpText(
      'after',
      `
In a chat:
  /reset   forget what was said        /exit   leave (or Ctrl-D)        Ctrl-C   stop the answer

Examples:
  npx headrace chat
  npx headrace chat "Name three rivers."
  git diff | npx headrace chat --system "Write a commit message for this diff."`,
    )
    .action(async (words: string[], flags: ChatFlags, command: Command) => {
      const session = openSession(io, command)
      setExitCode(command, await chat(session, words, flags))
    })
}

async function chat(session: Session, words: readonly string[], flags: ChatFlags): Promise<ExitCode> {
  const { io } = session
  const interactive = words.length === 0 && io.stdin.isTTY === true
  // Read before a key is made, which an empty prompt would waste.
  const prompt = interactive ? null : words.length > 0 ? words.join(' ') : await readPrompt(io)
  const system: ChatMessage[] = flags.system === undefined ? [] : [{ role: 'system', content: flags.system }]
  const talk = async (target: ChatTarget) =>
    prompt === null
      ? await converse(session, target, system)
      : await answerOnce(session, target, [...system, { role: 'user', content: prompt }])

  const key = flags.key ?? (io.env.HEADRACE_API_KEY || undefined)
  const outputTokensMax = flags.maxTokens ?? null
  if (flags.url !== undefined) {
    if (key === undefined)
      throw new CliError('--url needs an API key.', {
        cure: 'Give it with --key or HEADRACE_API_KEY.',
        exitCode: EXIT.usage,
      })
    const baseUrl = flags.url.replace(/\/+$/, '')
    return await talk({ baseUrl, key, model: flags.model ?? (await firstModelAt(baseUrl, key)), outputTokensMax })
  }
  return await session.control(async (client, config) => {
    const [url] = (await client.status()).listening
    if (url === undefined)
      throw new CliError('The server accepts no clients.', {
        cure: 'Wait until it has started.',
        exitCode: EXIT.unreachable,
      })
    const target = {
      baseUrl: `${url.replace(/\/+$/, '')}/v1`,
      model: flags.model ?? (await pickModel(client, config)),
      outputTokensMax,
    }
    if (key !== undefined) return await talk({ ...target, key })
    const org = await pickOrg(client, flags.org)
    const own = await client.createKey({
      org: org.id,
      name: 'chat in a terminal',
      expires_at: new Date(io.nowMs() + KEY_LIFE_MS).toISOString(),
    })
    try {
      return await talk({ ...target, key: own.secret })
    } finally {
      // The answer is there; a key that lives on for a while is worth a word, not a failure.
      await client.revokeKey(own.id).catch((error: Error) => {
        const cure = `It ends by itself in a day; to end it now: npx headrace keys revoke ${own.id}`
        io.stderr.write(
          renderError(
            { message: `The key of this chat could not be revoked: ${error.message}`, cure },
            session.errorStyle,
          ),
        )
      })
    }
  }, 'server')
}

/** The default model where it is on offer, else the first that chats and has a price. */
async function pickModel(client: ControlClient, config: Config): Promise<string> {
  let first: string | null = null
  for await (const model of allRows(client.listModels, {})) {
    if (!model.capabilities.chat || model.price === null) continue
    if (model.id === config.models.default) return model.id
    first ??= model.id
  }
  if (first !== null) return first
  throw new CliError('No model that chats is for sale.', {
    cure: 'Fetch one: npx headrace pull <model>. Or set a price: npx headrace models price <model>',
  })
}

async function firstModelAt(baseUrl: string, key: string): Promise<string> {
  try {
    const response = await fetch(`${baseUrl}/models`, { headers: { authorization: `Bearer ${key}` } })
    const { data } = (await response.json()) as { data?: { id?: string }[] }
    const id = data?.[0]?.id
    if (id !== undefined) return id
  } catch {
    // Told below, with the cure.
  }
  throw new CliError(`${baseUrl}/models lists no model.`, {
    cure: 'Check the URL and the key, or name a model with --model.',
    exitCode: EXIT.unreachable,
  })
}

async function readPrompt(io: Io): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of io.stdin) {
    chunks.push(Buffer.from(chunk))
    bytes += chunk.length
    if (bytes > PROMPT_BYTES_MAX)
      throw new CliError(`The prompt on standard input is longer than ${formatCount(PROMPT_BYTES_MAX)} bytes.`, {
        exitCode: EXIT.usage,
      })
  }
  const prompt = Buffer.concat(chunks).toString('utf8').trim()
  if (prompt === '')
    throw new CliError('There is no prompt.', { cure: 'Write one after "chat", or pipe one in.', exitCode: EXIT.usage })
  return prompt
}

async function answerOnce(session: Session, target: ChatTarget, messages: readonly ChatMessage[]): Promise<ExitCode> {
  const { io } = session
  const stop = new AbortController()
  const release = io.onSignal(() => stop.abort())
  try {
    const answer = await streamChat(target, messages, stop.signal, io.monotonicMs, (text, kind) => {
      // A pipe gets the bytes as they are; a terminal could be steered by them.
      if (!session.json && kind === 'content') session.print(io.stdout.isTTY === true ? printableLines(text) : text)
    })
    if (session.json) session.printJson({ model: target.model, ...answer })
    else {
      session.print('\n')
      io.stderr.write(`${session.errorStyle.dim(figures(answer))}\n`)
    }
    return stop.signal.aborted ? EXIT.interrupted : EXIT.ok
  } finally {
    release()
  }
}

/** `12 in (8 cached), 45 out, $0.000012, first token 120 ms, 85.2 tokens/s`. */
export function figures(answer: ChatAnswer): string {
  const { inputTokens, cachedInputTokens, outputTokens, cost, ttftMs, tokensPerSecond } = answer
  const parts = [
    inputTokens === null
      ? 'usage not told'
      : `${formatCount(inputTokens)} in (${formatCount(cachedInputTokens ?? 0)} cached)`,
    outputTokens === null ? null : `${formatCount(outputTokens)} out`,
    cost === null ? null : `$${costText(cost)}`,
    ttftMs === null ? null : `first token ${formatDuration(ttftMs)}`,
    tokensPerSecond === null ? null : `${tokensPerSecond.toFixed(1)} tokens/s`,
    answer.finishReason === null
      ? 'stopped'
      : answer.finishReason === 'stop'
        ? null
        : `ended by ${printable(answer.finishReason)}`,
  ]
  return parts.filter(part => part !== null).join(', ')
}

/** A number of dollars to the nanodollar, without zeros at its end. */
function costText(cost: number): string {
  return cost.toFixed(9).replace(/0+$/, '').replace(/\.$/, '')
}
