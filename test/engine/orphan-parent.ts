/** A server stand-in that is killed by its test: runs one request, tells where things are, then stays. */
import { createEngineUpstream } from '../../src/engine/engine-upstream.ts'
import { run, text, words } from './support-run.ts'

const [path, stateDir] = process.argv.slice(2) as [string, string]
const engine = createEngineUpstream({ stateDir, models: [{ name: 'm', path, slots: 1, contextTokens: 2048 }] })
await run(engine, { input: text(words(200)) })
run(engine, { outputTokensMax: 1500, sampling: { ignoreEos: true } })
const { models, cacheFolder } = engine.status()
process.send?.({ pid: models[0]?.pid, cacheFolder })
setInterval(() => {}, 1_000)
