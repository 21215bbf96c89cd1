import assert from 'node:assert/strict'
import { run, world } from '../lib/checks.mjs'
import { installed, programChecks, runProgram, workingFolder } from '../lib/program.mjs'

/** Claude Code, over Anthropic Messages. */

const { platform, arch } = process
const CLAUDE = installed('claude-code', `@anthropic-ai/claude-code-${platform}-${arch}/claude`)

async function turn(model, { key, code, prompt = 'Say hello.' }) {
  const cwd = workingFolder()
  const env = {
    ANTHROPIC_BASE_URL: world.url,
    ANTHROPIC_AUTH_TOKEN: key,
    ANTHROPIC_MODEL: model,
    ANTHROPIC_DEFAULT_HAIKU_MODEL: model,
    CLAUDE_CONFIG_DIR: `${cwd}/.claude`,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_AUTOUPDATER: '1',
    DISABLE_TELEMETRY: '1',
    DISABLE_ERROR_REPORTING: '1',
  }
  const args = ['-p', prompt, '--output-format', 'json', '--allowedTools', 'Bash']
  const { out, err } = await runProgram([CLAUDE, ...args], { cwd, env, code })
  const result = out.startsWith('{') ? JSON.parse(out) : undefined
  const used = Object.values(result?.modelUsage ?? {})
  const sum = name => used.reduce((total, each) => total + (each[name] ?? 0), 0)
  const cached = sum('cacheReadInputTokens')
  const input = sum('inputTokens') + cached + sum('cacheCreationInputTokens')
  return { text: result?.result ?? '', usage: { input, cached, output: sum('outputTokens') }, said: out + err }
}

await run({
  ...programChecks(turn),

  /** Its prompts begin with a line that differs each time; a cache that sees it never hits. */
  async cache() {
    const options = { key: world.key, code: 0 }
    await turn(world.models.rememberer, { ...options, prompt: 'Say hello.' })
    const { usage } = await turn(world.models.rememberer, { ...options, prompt: 'Tell me of the weather.' })
    assert.ok(usage.cached > usage.input / 2, JSON.stringify(usage))
    return { requests: 2 }
  },
})
