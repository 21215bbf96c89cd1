import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ensureFixture } from '../testing/fixtures.ts'

/** The real program on a home of its own, from a model file to a balanced ledger: what a person would type. */

const LAUNCHER = fileURLToPath(new URL('../../bin/headrace.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'hr-'))
const home = join(folder, 'home')
const running = new Set<ChildProcess>()

after(() => {
  for (const child of running) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

function start(...words: string[]) {
  const child = spawn(process.execPath, [LAUNCHER, ...words, '--home', home], {
    env: { PATH: process.env.PATH, HOME: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  const texts = { out: '', err: '' }
  child.stdout.on('data', chunk => {
    texts.out += chunk
  })
  child.stderr.on('data', chunk => {
    texts.err += chunk
  })
  const ended = new Promise<{ code: number | null; out: string; err: string }>(resolve => {
    child.on('close', code => {
      running.delete(child)
      resolve({ code, ...texts })
    })
  })
  return { child, texts, ended }
}

/** Runs a command that has to work; answers its JSON. */
// biome-ignore lint/suspicious/noExplicitAny: each command's own document
async function headrace(...words: string[]): Promise<any> {
  const { code, out, err } = await start(...words, '--json').ended
  assert.equal(code, 0, `${words.join(' ')}: ${err}`)
  return JSON.parse(out)
}

test('from a file to a first billed answer, and a clean stop', async () => {
  const file = await ensureFixture('llama', folder)
  const pulled = await headrace('pull', file, '--as', 'tiny', '--input', '1', '--cached', '0.1', '--output', '2')
  assert.equal(pulled.model.price.output, '2.00')
  assert.deepEqual(
    (await headrace('models')).map((model: { id: string; state: string }) => [model.id, model.state]),
    [['tiny', 'offline']],
  )

  const server = start(
    'serve',
    '--json',
    '--port',
    '0',
    '--set',
    'models.default=tiny',
    '--set',
    'engine.contextTokens=512',
  )
  const early = server.ended.then(({ code, err }) => assert.fail(`the server ended with ${code}: ${err}`))
  const ready = new Promise<void>(resolve => {
    server.child.stdout?.on('data', () => server.texts.out.endsWith('}\n') && resolve())
  })
  await Promise.race([ready, early])
  early.catch(() => {})
  const report = JSON.parse(server.texts.out)
  assert.match(report.firstRun.secret, /^sk-hr-/)
  assert.deepEqual(
    report.models.map((model: { id: string; state: string }) => [model.id, model.state]),
    [['tiny', 'ready']],
  )

  const answer = await headrace('chat', 'Hello', '--max-tokens', '8', '--key', report.firstRun.secret)
  assert.ok(answer.inputTokens > 0 && answer.outputTokens > 0, JSON.stringify(answer))
  const usage = await headrace('usage')
  assert.equal(usage.data.length, 1)
  assert.deepEqual(
    [usage.data[0].request, usage.data[0].usage.input_tokens, usage.data[0].usage.output_tokens],
    [answer.requestId, answer.inputTokens, answer.outputTokens],
  )
  assert.equal(Number(usage.data[0].charge), answer.cost)
  assert.equal((await headrace('ledger', 'verify')).ok, true)
  assert.equal((await headrace('doctor')).ok, true)
  await headrace('credit', 'grant', '1.00', '--expires', '30d', '--id', 'welcome')
  const backup = await headrace('backup', join(folder, 'copy'), '--whole')
  assert.deepEqual([backup.settlements, backup.newest_request], [1, answer.requestId])
  const refused = await start('restore', join(folder, 'copy')).ended
  assert.equal(refused.code, 3)
  assert.match(refused.err, /^headrace: .* in use by another process/)

  const second = await start('serve', '--port', '0').ended
  assert.equal(second.code, 3)
  assert.match(second.err, /^headrace: .* in use by another process/)

  server.child.kill('SIGTERM')
  assert.equal((await server.ended).code, 0)
  assert.equal((await headrace('ledger', 'verify')).settlements, 1)
  assert.equal((await headrace('usage', answer.requestId)).row.charge, usage.data[0].charge)

  await headrace('credit', 'chargeback', '2.00')
  const restored = await headrace('restore', join(folder, 'copy'))
  assert.deepEqual(restored.lost, { settlements: 0, charge: '0.00', transfers: 1 })
  const [credit] = await headrace('credit', 'show')
  assert.deepEqual([credit.charged_back, credit.granted, credit.grants[0].id], ['0.00', '1.00', 'welcome'])
  assert.equal((await headrace('ledger', 'verify')).ok, true)
})
