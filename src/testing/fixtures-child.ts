import { loadModel } from '@fugood/llama.node'

/**
 * Runs completions on one model in the binding's parallel mode and sends back what came of them. It is a process of its own,
 * since a crash of native code must not end the tests that ask.
 */

/** What the process is asked, as its only message. The completions run one after another. */
export interface FixtureRun {
  readonly path: string
  readonly completions: readonly FixtureCompletion[]
}

/** One completion; the options are the binding's own. */
export interface FixtureCompletion {
  readonly prompt: string
  readonly options: Readonly<Record<string, unknown>>
}

/** What came of one completion. */
export interface FixtureOutcome {
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly evaluatedTokens: number
  readonly outputTokens: number
  readonly text: string
  /** The distribution that the first token was drawn from, as pairs of token id and probability; empty unless asked for. */
  readonly firstToken: readonly (readonly [number, number])[]
}

interface NativeResult {
  text: string
  tokens_predicted: number
  timings: { cache_n: number; prompt_n: number }
}

process.once('message', async ({ path, completions }: FixtureRun) => {
  const model = await loadModel({
    model: path,
    n_ctx: 2048,
    n_batch: 512,
    n_parallel: 2,
    n_threads: 1,
    n_gpu_layers: 0,
  })
  await model.parallel.enable({ n_parallel: 2, n_batch: 512 })
  const outcomes: FixtureOutcome[] = []
  for (const { prompt, options } of completions) {
    let firstToken: FixtureOutcome['firstToken'] | undefined
    // Left out, xtc_probability is 0.1 with a threshold of 0: one token in ten would be the least likely of its candidates.
    const { promise } = await model.parallel.completion({ xtc_probability: 0, ...options, prompt }, (_id, token) => {
      const { probs } = token as { probs?: { tok: number; prob: number }[] }
      firstToken ??= (probs ?? []).map(({ tok, prob }) => [tok, prob])
    })
    const result = (await promise) as NativeResult
    outcomes.push({
      promptTokens: (await model.tokenize(prompt)).tokens.length,
      cachedTokens: result.timings.cache_n,
      evaluatedTokens: result.timings.prompt_n,
      outputTokens: result.tokens_predicted,
      text: result.text,
      firstToken: firstToken ?? [],
    })
  }
  process.send?.(outcomes, () => process.exit(0))
})
