/**
 * The baseline: a bare process that calls the binding and nothing else. It applies the chat template, queues the completion in
 * parallel mode and takes every token in a callback, which only counts it.
 */
import { type LlamaModel, loadModel } from '@fugood/llama.node'
import { nativeSampling } from '../../src/engine/sampling.ts'
import { type Ask, atConcurrency, type Outcome, SAMPLING, type Setup } from './workload.ts'

/** Asks of this process. Each is answered by one message. */
export type ToDirect =
  | { readonly type: 'load'; readonly setup: Setup }
  | { readonly type: 'run'; readonly asks: readonly Ask[]; readonly concurrency: number }

/** The part of the binding's result that is read; `tokens_evaluated` counts output, despite its name. */
interface NativeResult {
  readonly tokens_evaluated: number
  readonly timings: { readonly cache_n: number; readonly prompt_n: number }
}

let model: LlamaModel

async function load({ modelPath, slots, slotTokens, threads, batchTokens }: Setup): Promise<void> {
  model = await loadModel({
    model: modelPath,
    n_ctx: slotTokens * slots,
    n_parallel: slots,
    n_batch: batchTokens,
    n_ubatch: batchTokens,
    n_threads: threads,
    n_gpu_layers: 0,
    flash_attn_type: 'off',
    use_mmap: true,
    state_cache_budget_mb: 0,
  })
  await model.parallel.enable({ n_parallel: slots, n_batch: batchTokens })
}

async function run(asks: readonly Ask[], concurrency: number): Promise<Outcome> {
  const startedMs = performance.now()
  let inputTokens = 0
  let outputTokens = 0
  let textLength = 0
  await atConcurrency(asks, concurrency, async ask => {
    const { prompt } = await model.getFormattedChat([...ask.messages])
    const options = { ...nativeSampling(SAMPLING, 0, false), prompt, n_predict: ask.outputTokens, stop: [] }
    const { promise } = await model.parallel.completion(options, (_id, token) => {
      textLength += token.token.length
    })
    const result = (await promise) as unknown as NativeResult
    inputTokens += result.timings.cache_n + result.timings.prompt_n
    outputTokens += result.tokens_evaluated
  })
  if (textLength === 0) throw new Error('The binding generated no text.')
  return { seconds: (performance.now() - startedMs) / 1000, inputTokens, cachedTokens: 0, outputTokens }
}

process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
process.on('message', async (message: ToDirect) => {
  if (message.type === 'load') {
    await load(message.setup)
    process.send?.({ loaded: true })
  } else {
    process.send?.(await run(message.asks, message.concurrency))
  }
})
