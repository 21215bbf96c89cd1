import { run, world } from '../lib/checks.mjs'
import { installed, jsonLines, programChecks, runProgram, workingFolder, write } from '../lib/program.mjs'

/** Codex, over the Responses API. */

const TRIPLES = {
  'linux x64': 'x86_64-unknown-linux-musl',
  'linux arm64': 'aarch64-unknown-linux-musl',
  'darwin x64': 'x86_64-apple-darwin',
  'darwin arm64': 'aarch64-apple-darwin',
}
const { platform, arch } = process
const CODEX = installed('codex', `@openai/codex-${platform}-${arch}/vendor/${TRIPLES[`${platform} ${arch}`]}/bin/codex`)

async function turn(model, { key, code }) {
  const cwd = workingFolder()
  const home = `${cwd}/.codex`
  write(
    `${home}/config.toml`,
    `model = "${model}"
model_provider = "headrace"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.headrace]
name = "Headrace"
base_url = "${world.url}/v1"
env_key = "HEADRACE_API_KEY"
wire_api = "responses"
`,
  )
  const args = ['exec', '--json', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox', 'Say hello.']
  const { out, err } = await runProgram([CODEX, ...args], {
    cwd,
    env: { CODEX_HOME: home, HEADRACE_API_KEY: key },
    code,
  })
  const events = jsonLines(out)
  const told = events.findLast(({ type }) => type === 'turn.completed')?.usage
  const usage = told && {
    input: told.input_tokens,
    cached: told.cached_input_tokens,
    output: told.output_tokens,
    reasoning: told.reasoning_output_tokens,
  }
  const text = events.findLast(({ item }) => item?.type === 'agent_message')?.item.text ?? ''
  return { text, usage, said: out + err }
}

await run(programChecks(turn))
