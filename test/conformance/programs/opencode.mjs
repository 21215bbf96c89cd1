import { run, world } from '../lib/checks.mjs'
import { installed, jsonLines, programChecks, runProgram, workingFolder, write } from '../lib/program.mjs'

/** opencode, with its OpenAI-compatible provider. */

const { platform, arch } = process
const OPENCODE = installed('opencode', `opencode-${platform}-${arch}-baseline/bin/opencode`)

async function turn(model, { key, code }) {
  const cwd = workingFolder()
  const limit = { context: 262_144, output: 32_000 }
  write(`${cwd}/opencode.json`, {
    $schema: 'https://opencode.ai/config.json',
    autoupdate: false,
    share: 'disabled',
    permission: { bash: 'allow' },
    small_model: `headrace/${model}`,
    provider: {
      headrace: {
        npm: '@ai-sdk/openai-compatible',
        name: 'Headrace',
        options: { baseURL: `${world.url}/v1`, apiKey: key },
        models: { [model]: { name: model, tool_call: true, reasoning: true, limit } },
      },
    },
  })
  const env = {
    OPENCODE_DISABLE_MODELS_FETCH: '1',
    OPENCODE_DISABLE_AUTOUPDATE: '1',
    OPENCODE_DISABLE_LSP_DOWNLOAD: '1',
  }
  const args = ['run', '--format', 'json', '--model', `headrace/${model}`, '--title', 'A test', 'Say hello.']
  const { out, err } = await runProgram([OPENCODE, ...args], { cwd, env, code })
  const events = jsonLines(out)
  const usage = { input: 0, cached: 0, output: 0, reasoning: 0 }
  for (const { type, part } of events) {
    if (type !== 'step_finish') continue
    // Its counts are disjoint.
    const { input, output, reasoning, cache } = part.tokens
    usage.input += input + cache.read + cache.write
    usage.cached += cache.read
    usage.output += output + reasoning
    usage.reasoning += reasoning
  }
  const text = events.findLast(({ type }) => type === 'text')?.part.text ?? ''
  return { text, usage, said: out + err }
}

await run(programChecks(turn))
