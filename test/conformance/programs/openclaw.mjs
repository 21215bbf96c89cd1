import { run, world } from '../lib/checks.mjs'
import { installed, programChecks, runProgram, workingFolder, write } from '../lib/program.mjs'

/** OpenClaw, over the wire that the first argument names. */

const OPENCLAW = installed('openclaw', 'openclaw/openclaw.mjs')
const api = process.argv[2]

async function turn(model, { key, code }) {
  const folder = workingFolder()
  const config = `${folder}/openclaw.json`
  write(config, {
    agents: { defaults: { model: { primary: `headrace/${model}` } } },
    models: {
      mode: 'replace',
      providers: {
        headrace: {
          baseUrl: api === 'anthropic-messages' ? world.url : `${world.url}/v1`,
          apiKey: key,
          api,
          models: [
            {
              id: model,
              name: model,
              reasoning: true,
              input: ['text'],
              cost: { input: 1, output: 2, cacheRead: 0.1, cacheWrite: 0 },
              contextWindow: 262_144,
              maxTokens: 8192,
            },
          ],
        },
      },
    },
  })
  const env = { OPENCLAW_HOME: folder, OPENCLAW_STATE_DIR: `${folder}/state` }
  const args = [
    'agent',
    'exec',
    '--json',
    '--config',
    config,
    '--cwd',
    folder,
    '--model',
    `headrace/${model}`,
    'Say hello.',
  ]
  const { out, err } = await runProgram([process.execPath, OPENCLAW, ...args], { cwd: folder, env, code })
  const told = JSON.parse(out)
  const cached = told.usage?.cacheRead ?? 0
  const usage = told.usage && {
    input: told.usage.input + cached + told.usage.cacheWrite,
    cached,
    output: told.usage.output,
    reasoning: told.usage.reasoningTokens,
  }
  return { text: told.final, usage, said: out + err }
}

await run(programChecks(turn))
