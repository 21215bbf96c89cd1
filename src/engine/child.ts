/**
 * The process that runs one model. It may die at any instruction; whoever started it goes on. It ends itself, and
 * deletes the prompt states it saved, when the channel to its parent closes: also when the parent was killed.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { type Binding, importLibrary, loadBinding } from './binding.ts'
import { RequestFault } from './fault.ts'
import { findFimMarks } from './fim.ts'
import { tokenPieces } from './logprobs.ts'
import type { ChildOptions, FromChild, LoadedModel, ToChild } from './messages.ts'
import { beginningOf, loadsAlone, readModelFile, wholePrefixOnly } from './model-file.ts'
import { outbox } from './outbox.ts'
import type { PromptModel } from './prompt.ts'
import { PromptCache } from './prompt-cache.ts'
import { PromptScorer } from './prompt-scorer.ts'
import type { Reporter, Runner } from './runner.ts'
import { Scheduler } from './scheduler.ts'
import { VectorScheduler } from './vector-scheduler.ts'

// Prompt states hold what people wrote: no one else may read them, whatever the umask of the parent.
process.umask(0o077)

try {
  // When memory runs out, Linux should end this process and not the one that keeps the books.
  writeFileSync('/proc/self/oom_score_adj', '500')
} catch {
  // Not Linux, or not allowed: then the kernel chooses.
}

let runner: Runner | undefined
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
  if (options.purpose === 'rerank' && file.rerankTemplate) {
    throw new Error(
      'The reranker has a prompt template of its own, which the embedded engine cannot apply; run it on another engine.',
    )
  }
  const beginning = beginningOf(file, options.chatTemplate)
  const binding = await loadBinding(library, { ...options, chatTemplate: beginning.chatTemplate })
  const out = outbox((list, ended) =>
    send({ type: 'happened', list, ...(ended && cache ? { cache: cache.status() } : {}) }),
  )
  const reporter: Reporter = { event: (id, event) => out.event(id, event), end: (id, end) => out.end(id, end) }
  const whole = wholePrefixOnly(binding.info)
  const model: PromptModel = {
    chatTemplate: (beginning.chatTemplate ?? file.chatTemplate) !== undefined,
    toolTemplate: supportsTools(binding),
    bos: beginning.bosToken === undefined ? '' : await binding.detokenize([beginning.bosToken]),
    vision: options.projectorPath !== undefined,
    fim: options.purpose === 'generate' ? await findFimMarks(binding, file.fimTokens) : undefined,
  }
  if (options.purpose === 'generate') {
    if (options.cacheDir !== undefined && options.cacheBytesMax > 0) {
      cache = new PromptCache({
        dir: options.cacheDir,
        bytesMax: options.cacheBytesMax,
        tokensMin: options.cacheTokensMin,
        wholePrefixOnly: whole,
        nowMs: () => performance.now(),
      })
    }
    const pieces = tokenPieces(binding)
    const alone = loadsAlone(binding.info)
    runner = new Scheduler({
      binding,
      model,
      pieces,
      scorer: new PromptScorer({ binding, cache, rewinds: !alone, pieces, endTokens: file.endTokens }),
      slots: options.slots,
      slotTokens: options.slotTokens,
      cache,
      loadsAlone: alone,
      cacheTokensMin: options.cacheTokensMin,
      newCallId: () => `call_${randomBytes(12).toString('hex')}`,
      ...reporter,
    })
  } else {
    const vectorModel = { purpose: options.purpose, rules: file, inputTokensMax: inputTokensMax(binding, options) }
    runner = new VectorScheduler({
      binding,
      model: vectorModel,
      slots: options.slots,
      batchTokens: options.batchTokens,
      ...reporter,
    })
  }
  send({ type: 'loaded', model: describe(binding, options, model, whole, performance.now() - begunMs) })
}

/** Slots are rounded up to what llama.cpp allocates; positions beyond those that the model learned do not exist. */
function inputTokensMax(binding: Binding, { slotTokens }: ChildOptions): number {
  return Math.min(slotTokens, trainedTokens(binding) ?? slotTokens)
}

function trainedTokens({ info: { metadata } }: Binding): number | undefined {
  const said = metadata[`${metadata['general.architecture']}.context_length`]
  return said === undefined ? undefined : Number(said)
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
    contextTokens: trainedTokens(binding) ?? options.slotTokens,
    slotTokens: options.slotTokens,
    purpose: options.purpose,
    chatTemplate: model.chatTemplate,
    vision: model.vision,
    fillsInTheMiddle: model.fim !== undefined,
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
      runner?.run(message)
      break
    case 'cancel':
      runner?.cancel(message.id)
      break
    case 'count':
      runner?.count(message.input).then(
        tokens => send({ type: 'counted', id: message.id, tokens }),
        error => {
          const text = error instanceof RequestFault ? error.message : `Counting failed: ${messageOf(error)}`
          send({ type: 'count-failed', id: message.id, message: text })
        },
      )
      break
  }
})
