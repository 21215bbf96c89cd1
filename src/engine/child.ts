/**
 * The process that runs one model. It may die at any instruction; whoever started it goes on. It ends itself, and
 * deletes the prompt states it saved, when the channel to its parent closes: also when the parent was killed.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { type Binding, importLibrary, loadBinding } from './binding.ts'
import { RequestFault } from './fault.ts'
import type { ChildOptions, FromChild, LoadedModel, ToChild } from './messages.ts'
import { beginningOf, loadsAlone, readModelFile, wholePrefixOnly } from './model-file.ts'
import { outbox } from './outbox.ts'
import type { PromptModel } from './prompt.ts'
import { PromptCache } from './prompt-cache.ts'
import { Scheduler } from './scheduler.ts'

// Prompt states hold what people wrote: no one else may read them, whatever the umask of the parent.
process.umask(0o077)

try {
  // When memory runs out, Linux should end this process and not the one that keeps the books.
  writeFileSync('/proc/self/oom_score_adj', '500')
} catch {
  // Not Linux, or not allowed: then the kernel chooses.
}

let scheduler: Scheduler | undefined
let cache: PromptCache | undefined

function send(message: FromChild): void {
  // The channel may be closing; then nobody is left to tell.
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

function leave(): void {
  cache?.wipe()
  // Not `exit`: the native threads may be in the middle of a step, and destructors would wait or crash.
  process.kill(process.pid, 'SIGKILL')
}

async function load(options: ChildOptions): Promise<void> {
  process.title = `headrace-engine: ${options.name}`
  if (!existsSync(options.modelPath)) throw new Error('The model file does not exist.')
  const begunMs = performance.now()
  const library = await importLibrary(options.libraryDir)
  const file = await readModelFile(library, options.modelPath)
  const beginning = beginningOf(file, options.chatTemplate)
  const binding = await loadBinding(library, { ...options, chatTemplate: beginning.chatTemplate })
  const model: PromptModel = {
    chatTemplate: (beginning.chatTemplate ?? file.chatTemplate) !== undefined,
    toolTemplate: supportsTools(binding),
    bos: beginning.bosToken === undefined ? '' : await binding.detokenize([beginning.bosToken]),
  }
  const whole = wholePrefixOnly(binding.info)
  if (options.cacheDir !== undefined && options.cacheBytesMax > 0) {
    cache = new PromptCache({
      dir: options.cacheDir,
      bytesMax: options.cacheBytesMax,
      tokensMin: options.cacheTokensMin,
      wholePrefixOnly: whole,
      nowMs: () => performance.now(),
    })
  }
  const out = outbox((list, ended) =>
    send({ type: 'happened', list, ...(ended && cache ? { cache: cache.status() } : {}) }),
  )
  scheduler = new Scheduler({
    binding,
    model,
    slots: options.slots,
    slotTokens: options.slotTokens,
    cache,
    loadsAlone: loadsAlone(binding.info),
    cacheTokensMin: options.cacheTokensMin,
    event: (id, event) => out.event(id, event),
    end: (id, end) => out.end(id, end),
    newCallId: () => `call_${randomBytes(12).toString('hex')}`,
  })
  send({ type: 'loaded', model: describe(binding, options, model, whole, performance.now() - begunMs) })
}

function supportsTools(binding: Binding): boolean {
  const { defaultCaps, toolUse, toolUseCaps } = binding.info.chatTemplates.jinja
  return (defaultCaps?.tools ?? false) || (toolUse && (toolUseCaps?.tools ?? false))
}

function describe(
  binding: Binding,
  options: ChildOptions,
  model: PromptModel,
  whole: boolean,
  loadMs: number,
): LoadedModel {
  const { metadata, desc, nParams } = binding.info
  const architecture = metadata['general.architecture'] ?? 'unknown'
  return {
    architecture,
    description: desc,
    parameters: nParams,
    contextTokens: Number(metadata[`${architecture}.context_length`] ?? options.slotTokens),
    slotTokens: options.slotTokens,
    chatTemplate: model.chatTemplate,
    toolTemplate: model.toolTemplate,
    wholePrefixOnly: whole,
    devices: binding.devices,
    systemInfo: binding.systemInfo,
    loadMs,
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

process.on('disconnect', leave)
// A Ctrl-C in the terminal reaches the whole process group; the parent decides when its children go.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})

process.on('message', (message: ToChild) => {
  switch (message.type) {
    case 'load':
      load(message.options).catch(error => send({ type: 'load-failed', message: messageOf(error) }))
      break
    case 'run':
      scheduler?.run(message)
      break
    case 'cancel':
      scheduler?.cancel(message.id)
      break
    case 'count':
      scheduler?.count(message.input).then(
        tokens => send({ type: 'counted', id: message.id, tokens }),
        error => {
          const text = error instanceof RequestFault ? error.message : `Counting failed: ${messageOf(error)}`
          send({ type: 'count-failed', id: message.id, message: text })
        },
      )
      break
  }
})
