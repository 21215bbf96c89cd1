import { run, world } from '../lib/checks.mjs'
import { installed, programChecks, runProgram, workingFolder } from '../lib/program.mjs'

/** Qwen Code, over the wire that the first argument names. */

const QWEN = installed('qwen-code', '@qwen-code/qwen-code/cli-entry.js')
const wire = process.argv[2]
const anthropic = wire === 'anthropic'

async function turn(model, { key, code }) {
  const args = ['--bare', '--yolo', '--output-format', 'json', '--auth-type', wire, '--model', model, 'Say hello.']
  const env = anthropic
    ? { ANTHROPIC_API_KEY: key, ANTHROPIC_BASE_URL: world.url, ANTHROPIC_MODEL: model }
    : { OPENAI_API_KEY: key, OPENAI_BASE_URL: `${world.url}/v1`, OPENAI_MODEL: model }
  const { out, err } = await runProgram([process.execPath, QWEN, ...args], { cwd: workingFolder(), env, code })
  const result = (out.startsWith('[') ? JSON.parse(out) : []).find(({ type }) => type === 'result')
  const tokens = result?.stats?.models?.[model]?.tokens
  const usage = tokens && { input: tokens.prompt, cached: tokens.cached, output: tokens.candidates }
  // Over Messages it does not look for what was thought.
  if (tokens && !anthropic) usage.reasoning = tokens.thoughts
  return { text: result?.result ?? '', usage, said: out + err }
}

await run(programChecks(turn))
