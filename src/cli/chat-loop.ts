import { createInterface, type Interface } from 'node:readline'
import { figures } from './chat.ts'
import { type ChatMessage, type ChatTarget, streamChat } from './chat-stream.ts'
import { EXIT, type ExitCode } from './cli-error.ts'
import { printable, printableLines } from './output/style.ts'
import { renderError, reportOf } from './report-error.ts'
import type { Session } from './session.ts'

const HELP = '/reset forgets what was said, /exit leaves, Ctrl-C stops an answer.'

/** A chat in the terminal, until /exit or Ctrl-D. An error ends the answer, not the chat. */
export async function converse(
  session: Session,
  target: ChatTarget,
  system: readonly ChatMessage[],
): Promise<ExitCode> {
  const { io, style } = session
  const terminal = createInterface({
    input: io.stdin,
    output: io.stdout as unknown as NodeJS.WritableStream,
    terminal: true,
    prompt: style.bold('> '),
  })
  // An answer may be on its way when Ctrl-C comes; the terminal is in raw mode, so it comes as a key, not as a signal.
  let answering: AbortController | null = null
  terminal.on('SIGINT', () => {
    if (answering !== null) answering.abort()
    else {
      session.print(`\n${style.dim('/exit or Ctrl-D leaves.')}\n`)
      terminal.prompt()
    }
  })
  session.print(`${style.dim(`${printable(target.model)} at ${target.baseUrl}. ${HELP}`)}\n`)
  let messages = [...system]
  for await (const line of lines(terminal)) {
    const text = line.trim()
    if (text === '/exit' || text === '/quit') break
    if (text === '/reset') {
      messages = [...system]
      session.print(`${style.dim('Forgotten.')}\n`)
    } else if (text.startsWith('/')) session.print(`${style.dim(HELP)}\n`)
    else if (text !== '') {
      answering = new AbortController()
      const turn = await answer(session, target, [...messages, { role: 'user', content: text }], answering)
      answering = null
      // What was never answered would confuse the model later.
      if (turn !== null) messages.push({ role: 'user', content: text }, { role: 'assistant', content: turn })
    }
  }
  terminal.close()
  return EXIT.ok
}

/** Prompts for lines one at a time; ends at the end of the input. */
async function* lines(terminal: Interface): AsyncGenerator<string> {
  const waiting: string[] = []
  let wake: () => void = () => {}
  let closed = false
  terminal.on('line', line => {
    waiting.push(line)
    wake()
  })
  terminal.on('close', () => {
    closed = true
    wake()
  })
  while (true) {
    if (waiting.length === 0 && !closed) {
      terminal.prompt()
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
    const line = waiting.shift()
    if (line !== undefined) yield line
    else if (closed) return
  }
}

/** The text of the answer; null when there was none. */
async function answer(
  session: Session,
  target: ChatTarget,
  messages: readonly ChatMessage[],
  stop: AbortController,
): Promise<string | null> {
  const { io, style } = session
  let thinking = false
  try {
    const done = await streamChat(target, messages, stop.signal, io.monotonicMs, (text, kind) => {
      if (thinking && kind === 'content') session.print('\n\n')
      thinking = kind === 'reasoning'
      session.print(thinking ? style.dim(printableLines(text)) : printableLines(text))
    })
    session.print(`\n${style.dim(figures(done))}\n\n`)
    return done.content === '' ? null : done.content
  } catch (error) {
    session.print('\n')
    io.stderr.write(renderError(reportOf(error, 'chat '), session.errorStyle))
    return null
  }
}
