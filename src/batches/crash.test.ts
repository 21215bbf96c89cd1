import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type Act, OWNER, order, World } from './testing.ts'

/** Processes that die before and after each thing that they ask of the world, while a batch runs. */

const ACTS: readonly Act[] = ['ok', 'bad', 'ok', 'busy once', 'ok']

const worlds: World[] = []
after(async () => {
  for (const world of worlds) await world.remove()
})

function newWorld(): World {
  const world = new World()
  worlds.push(world)
  return world
}

/** A world in which a batch was handed in. */
async function handedIn(acts: readonly Act[] = ACTS) {
  const world = newWorld()
  const process = await world.start()
  const input = await world.upload(process, acts)
  const { batch } = await process.batches.create(OWNER, order(input))
  await process.batches.close()
  return { world, id: batch.id, input }
}

/** The lines of a file by their names. */
function linesOf(world: World, file: string): Record<string, { status: number; name?: string }> {
  const text = readFileSync(join(world.path, file), 'utf8')
  assert.ok(text.endsWith('\n'), 'the last line is whole')
  const lines = text.trimEnd().split('\n')
  const byName = Object.fromEntries(
    lines.map(line => {
      const { custom_id, response } = JSON.parse(line)
      return [custom_id, { status: response.status_code, name: response.body.name }]
    }),
  )
  assert.equal(Object.keys(byName).length, lines.length, 'no line is there twice')
  return byName
}

/** The batch is whole, whatever happened on the way. */
async function checkWhole(world: World, id: string, input: string): Promise<void> {
  const process = await world.start()
  const { batch, completed, failed } = await process.batches.find(OWNER.orgId, id)
  assert.equal(batch.status, 'completed')
  assert.deepEqual([completed, failed, batch.lines], [4, 1, 5])
  const good = ['0 ok', '2 ok', '3 busy once', '4 ok']
  assert.deepEqual(Object.fromEntries(world.charged), Object.fromEntries(good.map(name => [name, 1])))
  const { outputFileId, errorFileId, usage } = batch.result ?? assert.fail('it has a result')
  const output = linesOf(world, outputFileId ?? '')
  assert.deepEqual(
    Object.entries(output).sort(),
    good.map(name => [name, { status: 200, name }]),
  )
  assert.deepEqual(linesOf(world, errorFileId ?? ''), { '1 bad': { status: 400, name: undefined } })
  assert.deepEqual(usage, { inputTokens: 40, cachedInputTokens: 16, outputTokens: 20, reasoningTokens: 0 })
  assert.deepEqual(readdirSync(world.path).sort(), [errorFileId, input, outputFileId].sort())
  assert.equal(await world.kept.countByState({ kind: 'batch_line' }, 0).then(counts => counts.size), 0)
  const page = { order: 'asc', limit: 9 } as const
  const files = await process.files.list(OWNER.orgId, undefined, page)
  assert.deepEqual(files.map(file => file.id).sort(), [errorFileId, input, outputFileId].sort())
  for (const file of files)
    assert.equal(file.bytes, readFileSync(join(world.path, file.id)).length, `the length of ${file.filename}`)
}

test('a process may die at any step: the next one ends the batch, each line charged once, its files whole', async () => {
  for (let crashAt = 1; ; crashAt++) {
    const { world, id, input } = await handedIn()
    const process = await world.start({ crashAt: crashAt + (await stepsToStart(world)) })
    process.goOn()
    await world.end(id, process)
    if (!process.dead()) {
      assert.ok(crashAt > 50, `only ${crashAt} steps: something was not counted`)
      await checkWhole(world, id, input)
      return
    }
    const next = await world.start()
    next.goOn()
    await world.end(id)
    await checkWhole(world, id, input).catch(cause => {
      throw new Error(`died at step ${crashAt}`, { cause })
    })
    await world.remove()
  }
})

/** Steps that a process takes before it goes on with the batches. */
async function stepsToStart(world: World): Promise<number> {
  return (await world.start()).steps()
}

test('processes that die again and again get there, as long as each gets a little further', async () => {
  for (const life of [40, 46, 53]) {
    const { world, id, input } = await handedIn()
    const before = await stepsToStart(world)
    let lives = 0
    for (; (await world.status(id)) !== 'completed'; lives++) {
      assert.ok(lives < 50, `no progress in lives of ${life} steps`)
      const process = await world.start({ crashAt: before + life, concurrency: 1 })
      process.goOn()
      await world.end(id, process)
    }
    assert.ok(lives > 1, `${lives} lives of ${life} steps`)
    await checkWhole(world, id, input)
  }
})

test('a process that dies while a batch is handed in leaves the batch or nothing', async () => {
  const seen = new Set<boolean>()
  for (let crashAt = 1; ; crashAt++) {
    const world = newWorld()
    const first = await world.start()
    const input = await world.upload(first, ['ok'])
    const process = await world.start({ crashAt: crashAt + (await stepsToStart(world)) })
    void process.batches.create(OWNER, order(input))
    await world.drive(async () => process.dead() || world.charged.size > 0)
    if (!process.dead()) break
    const next = await world.start()
    next.goOn()
    await world.drive(() => false)
    const [batch] = await next.batches.list(OWNER.orgId, { order: 'asc', limit: 2 })
    seen.add(batch !== undefined)
    assert.equal(batch?.batch.status ?? 'completed', 'completed')
    assert.equal(readdirSync(world.path).length, batch === undefined ? 1 : 2, `died at step ${crashAt}`)
  }
  assert.deepEqual([...seen].sort(), [false, true])
})
