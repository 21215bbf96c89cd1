import assert from 'node:assert/strict'
import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createEngineUpstream } from '../../src/engine/engine-upstream.ts'
import { engineWith, fixturePath, request, run, text, words } from './support.ts'

const LONG = { outputTokensMax: 1500, sampling: { ignoreEos: true } }

test('kill -9 of the child fails what it was running, and the next request works', async () => {
  const engine = await engineWith('llama')
  const pid = await warmPid(engine)
  const bystander = await engineWith('deepseek4')
  await bystander.warm()
  let killed = false
  const answers = await Promise.all([
    run(engine, {
      ...LONG,
      watch(event) {
        if (event.type !== 'delta' || killed) return
        killed = true
        process.kill(pid, 'SIGKILL')
      },
    }),
    run(engine, LONG),
    run(engine, LONG),
  ])
  for (const { end } of answers) {
    assert.equal(end.kind === 'failed' && end.failure.reason, 'disconnected')
    assert.match(end.kind === 'failed' ? end.failure.message : '', /SIGKILL/)
  }
  assert.equal((await run(engine)).end.kind, 'completed')
  assert.notEqual(engine.status().models[0]?.pid, pid)
  assert.equal((await run(bystander)).end.kind, 'completed')
})

test('a full queue refuses with a time to wait; the rest is served in order', async () => {
  const engine = await engineWith('llama', { queueDepthMax: 2, slots: 1 })
  await engine.warm()
  const running = Array.from({ length: 5 }, () => run(engine, { outputTokensMax: 100 }))
  const ends = (await Promise.all(running)).map(answer => answer.end)
  assert.deepEqual(
    ends.map(end => (end.kind === 'failed' ? end.failure.reason : end.kind)),
    ['completed', 'completed', 'completed', 'overloaded', 'overloaded'],
  )
  const refused = ends[4]
  assert.ok(refused?.kind === 'failed' && (refused.failure.retryAfterMs ?? 0) > 0 && refused.failure.retryable)
})

test('a drain takes no new work and lets what is there end', async () => {
  const engine = await engineWith('llama', { slots: 1 })
  await engine.warm()
  const [first, second] = [run(engine, { outputTokensMax: 50 }), run(engine, { outputTokensMax: 50 })]
  await sleep(0)
  const closing = engine.close(60_000)
  const late = await run(engine)
  assert.equal(late.end.kind === 'failed' && late.end.failure.reason, 'refused')
  assert.equal((await first).end.kind, 'completed')
  assert.equal((await second).end.kind, 'completed')
  await closing
})

test('at the deadline of a drain what is left is cancelled, with its usage', async () => {
  const engine = await engineWith('llama', { slots: 1 })
  const started = Promise.withResolvers<void>()
  const endless = run(engine, { ...LONG, watch: event => event.type === 'delta' && started.resolve() })
  const waiting = run(engine, LONG)
  await started.promise
  await engine.close(0)
  const { end, usage } = await endless
  assert.equal(end.kind, 'cancelled')
  assert.ok((usage?.outputTokens ?? 0) > 0)
  assert.equal((await waiting).end.kind, 'cancelled')
  assert.equal((await waiting).usage, undefined)
})

test('a paused client gets everything once it resumes', async () => {
  const engine = await engineWith('llama')
  let paused = false
  const answer = await run(engine, {
    outputTokensMax: 60,
    watch(event, handle) {
      if (event.type !== 'delta' || paused) return
      paused = true
      handle.pause()
      setTimeout(() => handle.resume(), 50)
    },
  })
  assert.equal(answer.end.kind, 'completed')
  assert.equal(answer.deltaTokens, answer.usage?.outputTokens)
})

test('a model that cannot fit is refused with numbers before it is loaded', async () => {
  const engine = await engineWith('llama', { memoryBytesMax: 50 * 2 ** 20 })
  const { end } = await run(engine)
  assert.equal(end.kind === 'failed' && end.failure.reason, 'unavailable')
  assert.match(end.kind === 'failed' ? end.failure.message : '', /needs \d+\.\d+ GiB .* and \d+\.\d+ GiB are available/)
  assert.equal(engine.status().models[0]?.pid, undefined)
  await assert.rejects(engine.warm(), /GiB/)
})

test('the model that was idle longest makes room for another', async () => {
  const path = await fixturePath('llama')
  const stateDir = mkdtempSync(join(tmpdir(), 'headrace-lru-'))
  const model = (name: string) => ({ name, path, slots: 1, contextTokens: 512 })
  // Room for two by plan.
  const engine = createEngineUpstream({
    stateDir,
    cacheBytesMax: 0,
    memoryBytesMax: 270 * 2 ** 20,
    models: ['a', 'b', 'c'].map(model),
  })
  try {
    const threads = engine.status().threads
    for (const name of ['a', 'b', 'a', 'c'])
      assert.equal((await run(engine, { model: name })).end.kind, 'completed', name)
    const states = Object.fromEntries(engine.status().models.map(one => [one.name, one.state]))
    assert.deepEqual(
      states,
      threads >= 2 ? { a: 'ready', b: 'unloaded', c: 'ready' } : { a: 'unloaded', b: 'unloaded', c: 'ready' },
    )
    assert.equal((await run(engine, { model: 'b' })).end.kind, 'completed')
    assert.equal((await run(engine, { model: 'no such model' })).end.kind, 'failed')
  } finally {
    await engine.close(0)
    rmSync(stateDir, { recursive: true })
  }
})

test('a file that is no model is refused with the reason; one that comes later is found', async () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'headrace-bad-'))
  const path = join(stateDir, 'm.gguf')
  const engine = createEngineUpstream({ stateDir, models: [{ name: 'm', path, slots: 1, contextTokens: 512 }] })
  try {
    const missing = await run(engine)
    assert.match(missing.end.kind === 'failed' ? missing.end.failure.message : '', /does not exist/)
    writeFileSync(path, 'not a model at all, only text')
    const bad = await run(engine)
    assert.match(bad.end.kind === 'failed' ? bad.end.failure.message : '', /not a readable GGUF/)
    rmSync(path)
    execFileSync('cp', [await fixturePath('llama'), path])
    assert.equal((await run(engine)).end.kind, 'completed')
  } finally {
    await engine.close(0)
    rmSync(stateDir, { recursive: true })
  }
})

test('a child whose parent was killed ends itself and leaves no prompts behind', async () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'headrace-orphan-'))
  const parent = fork(join(import.meta.dirname, 'orphan-parent.ts'), [await fixturePath('llama'), stateDir], {
    execArgv: [],
  })
  try {
    const [{ pid, cacheFolder }] = (await once(parent, 'message')) as [{ pid: number; cacheFolder: string }]
    assert.ok(alive(pid))
    assert.ok(existsSync(`${cacheFolder}/m/1.state`))
    parent.kill('SIGKILL')
    for (let waits = 0; alive(pid) && waits < 200; waits++) await sleep(25)
    assert.equal(alive(pid), false)
    assert.equal(existsSync(`${cacheFolder}/m`), false)
    rmSync(cacheFolder, { recursive: true, force: true })
  } finally {
    parent.kill('SIGKILL')
    rmSync(stateDir, { recursive: true })
  }
})

test('counting works while slots are busy, and says why it cannot', async () => {
  const engine = await engineWith('llama', { slots: 1 })
  const busy = run(engine, LONG)
  assert.ok((await engine.countInput(request({ input: text(words(50)) }), 'm')) >= 50)
  await assert.rejects(engine.countInput(request({ input: text([]) }), 'm'), /empty/)
  busy.handle.cancel()
  assert.equal((await busy).end.kind, 'cancelled')
})

async function warmPid(engine: Awaited<ReturnType<typeof engineWith>>): Promise<number> {
  await engine.warm()
  return engine.status().models[0]?.pid as number
}

/** Whether a process runs; one that has ended and waits to be reaped does not. */
function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  return !execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).startsWith('Z')
}
