import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ApiError } from '../errors.ts'
import type { KeptDocument } from '../ledger/kept-document.ts'
import { type Act, OWNER, order, World } from './testing.ts'

const worlds: World[] = []
after(async () => {
  for (const world of worlds) await world.remove()
})

type Started = Awaited<ReturnType<World['start']>>

/** A world with a process, and a batch handed in. */
async function begun(acts: readonly Act[], options: Parameters<World['start']>[0] = {}) {
  const world = new World()
  worlds.push(world)
  const process = await world.start(options)
  const input = await world.upload(process, acts)
  const { batch } = await process.batches.create(OWNER, order(input))
  return { world, process, id: batch.id, input }
}

/** How a batch stands: its status, and what its files say of each line. */
async function outcome(world: World, { batches }: Started, id: string): Promise<string[]> {
  const { batch, completed, failed } = await batches.find(OWNER.orgId, id)
  const lines = [batch.result?.outputFileId, batch.result?.errorFileId].flatMap(file =>
    file == null
      ? []
      : readFileSync(join(world.path, file), 'utf8')
          .trimEnd()
          .split('\n')
          .map(line => {
            const { custom_id, response, error } = JSON.parse(line)
            return `${custom_id}: ${response?.status_code ?? error.code}`
          }),
  )
  return [`${batch.status} ${completed}+${failed} of ${batch.lines}`, ...lines.sort()]
}

test('lines that come through are in one file, the others in another', async () => {
  const { world, process, id } = await begun(['ok', 'bad', 'busy once'])
  await world.end(id)
  assert.deepEqual(await outcome(world, process, id), [
    'completed 2+1 of 3',
    '0 ok: 200',
    '1 bad: 400',
    '2 busy once: 200',
  ])
  const { batch, waiting } = await process.batches.find(OWNER.orgId, id)
  assert.deepEqual(Object.keys(batch.times), ['in_progress', 'finalizing', 'completed'])
  assert.deepEqual([batch.model, waiting], ['m', null])
  assert.deepEqual(world.errors, [])
  await world.drive(() => false)
  assert.equal(readdirSync(world.path).filter(name => name.endsWith('.held')).length, 0)
})

test('a file is only made when there is something in it', async () => {
  const good = await begun(['ok'])
  await good.world.end(good.id)
  assert.equal((await good.process.batches.find(OWNER.orgId, good.id)).batch.result?.errorFileId, null)
  const bad = await begun(['bad'])
  await bad.world.end(bad.id)
  assert.equal((await bad.process.batches.find(OWNER.orgId, bad.id)).batch.result?.outputFileId, null)
})

test('an input that is not in order fails as a whole, and nothing is run', async () => {
  const { world, process, id } = await begun(['ok'])
  await world.end(id)
  world.charged.clear()
  const input = await world.uploadText(process.files, '{"custom_id":"a"}\nnothing')
  const { batch } = await process.batches.create(OWNER, order(input))
  await world.end(batch.id)
  const failed = (await process.batches.find(OWNER.orgId, batch.id)).batch
  assert.equal(failed.status, 'failed')
  assert.deepEqual(
    failed.errors?.map(({ line, code, param }) => `${line} ${code} ${param}`),
    ['1 invalid_method method', '2 invalid_json_line null'],
  )
  assert.equal(world.charged.size, 0)
})

test('what is handed in is checked at once as far as it can be', async () => {
  const { world, process } = await begun(['poor'], { openMaxPerOrg: 1 })
  const { batches, files } = process
  const input = await world.upload(process, ['ok'])
  await assert.rejects(batches.create(OWNER, order(input)), { code: 'too_many_batches', status: 429 })
  world.rich = true
  await world.drive(() => false)
  await assert.rejects(batches.create(OWNER, order('file-none')), { code: 'file_not_found', param: 'input_file_id' })
  await assert.rejects(batches.create({ ...OWNER, orgId: 'org_b' }, order(input)), { code: 'file_not_found' })
  await assert.rejects(batches.create(OWNER, order(input, { endpoint: '/v1/images' })), { param: 'endpoint' })
  const upload = await files.begin(OWNER, 0)
  const other = await files.finish(upload, OWNER, { filename: '', purpose: 'user_data', expiresAfterS: null })
  await assert.rejects(batches.create(OWNER, order(other.id)), { code: 'invalid_value', message: /purpose "batch"/ })
  await assert.rejects(batches.find(OWNER.orgId, 'batch_none'), { code: 'batch_not_found', status: 404 })
  // Nothing of all this is counted among the unfinished.
  await batches.create(OWNER, order(input, { endpoint: '/v1/openai/chat/completions' }))
})

test('for want of credit a batch waits, says so, and goes on', async () => {
  const { world, process, id } = await begun(['poor', 'ok', 'poor'])
  await world.drive(async () => (world.tried.get('2 poor') ?? 0) >= 3)
  const { batch, completed, failed, waiting } = await process.batches.find(OWNER.orgId, id)
  assert.deepEqual([batch.status, completed, failed], ['in_progress', 1, 0])
  assert.deepEqual(waiting?.error, { code: 'insufficient_balance', message: 'It is insufficient_balance.' })
  world.rich = true
  await world.end(id)
  assert.deepEqual(await outcome(world, process, id), ['completed 3+0 of 3', '0 poor: 200', '1 ok: 200', '2 poor: 200'])
})

test('what waits when the window ends is told why', async () => {
  const { world, process, id } = await begun(['ok', 'poor', 'poor'])
  const startMs = world.clock.nowMs()
  await world.end(id)
  assert.deepEqual(await outcome(world, process, id), [
    'expired 1+2 of 3',
    ...['0 ok: 200', '1 poor: batch_expired', '2 poor: batch_expired'],
  ])
  const { batch } = await process.batches.find(OWNER.orgId, id)
  assert.equal(batch.times.expired, startMs + 86_400_000)
  assert.match(batch.rest?.message ?? '', /was waiting: It is insufficient_balance\. \(insufficient_balance\)/)
  assert.ok((world.tried.get('1 poor') ?? 0) < 1500, 'once a minute at most')
})

test('an upstream that fails again and again is at last the result of the line', async () => {
  const { world, process, id } = await begun(['down', 'ok'])
  await world.end(id)
  assert.deepEqual(await outcome(world, process, id), ['completed 1+1 of 2', '0 down: 502', '1 ok: 200'])
  assert.equal(world.tried.get('0 down'), 5)
})

test('no line begins while others wait for the places that run its model', async () => {
  const { world, process, id } = await begun(['ok'])
  world.crowded = true
  await world.drive(async () => (await process.batches.find(OWNER.orgId, id)).waiting !== null)
  assert.equal((await process.batches.find(OWNER.orgId, id)).waiting?.error.code, 'engine_overloaded')
  assert.equal(world.tried.size, 0)
  world.crowded = false
  await world.end(id)
  assert.equal(world.charged.size, 1)
})

test('a key that is revoked runs nothing any more, and the rest is told why', async () => {
  const { world, process, id } = await begun(['ok', 'wait', 'ok', 'ok'], { concurrency: 1 })
  await world.drive(() => world.tried.has('1 wait'))
  world.refusal = new ApiError('revoked_api_key', 'The API key "a" was revoked.')
  world.letGo()
  await world.end(id)
  assert.deepEqual(await outcome(world, process, id), [
    'completed 2+2 of 4',
    ...['0 ok: 200', '1 wait: 200', '2 ok: revoked_api_key', '3 ok: revoked_api_key'],
  ])
})

test('a batch that is cancelled lets running lines end, and gives what it has', async () => {
  const { world, process, id } = await begun(['ok', 'wait', 'ok'], { concurrency: 1 })
  await world.drive(() => world.tried.has('1 wait'))
  const { batch } = await process.batches.cancel(OWNER.orgId, id)
  assert.equal(batch.status, 'cancelling')
  assert.equal((await process.batches.cancel(OWNER.orgId, id)).batch.status, 'cancelling')
  world.letGo()
  await world.end(id)
  assert.deepEqual(await outcome(world, process, id), [
    'cancelled 2+1 of 3',
    ...['0 ok: 200', '1 wait: 200', '2 ok: batch_cancelled'],
  ])
  assert.equal((await process.batches.cancel(OWNER.orgId, id)).batch.status, 'cancelled')
  await assert.rejects(process.batches.cancel('org_b', id), { code: 'batch_not_found' })
})

test('a batch that is cancelled before it was checked ends at once, with nothing', async () => {
  const { world, process, id } = await begun(['ok'])
  const { batch } = await process.batches.cancel(OWNER.orgId, id)
  assert.equal(batch.status, 'cancelling')
  await world.end(id)
  assert.deepEqual(await outcome(world, process, id), ['cancelled 0+0 of null'])
  assert.equal(world.charged.size, 0)
})

test('a batch that is over cannot be cancelled', async () => {
  const { world, process, id } = await begun(['ok'])
  await world.end(id)
  await assert.rejects(process.batches.cancel(OWNER.orgId, id), { code: 'conflict', status: 409 })
})

test('a server that stops ends what runs, and the next goes on with the rest', async () => {
  const { world, process, id } = await begun(['ok', 'wait', 'ok'], { concurrency: 1 })
  await world.drive(() => world.tried.has('1 wait'))
  let closed = false
  const closing = process.batches.close().then(() => {
    closed = true
  })
  await world.drive(() => true)
  assert.equal(closed, false)
  world.letGo()
  await closing
  assert.deepEqual([await world.status(id), [...world.charged.keys()]], ['in_progress', ['0 ok', '1 wait']])
  const next = await world.start()
  const { completed, failed, waiting } = await next.batches.find(OWNER.orgId, id)
  assert.deepEqual([completed, failed, waiting], [2, 0, null])
  next.goOn()
  await world.end(id)
  assert.deepEqual(await outcome(world, next, id), ['completed 3+0 of 3', '0 ok: 200', '1 wait: 200', '2 ok: 200'])
})

test('a file may be deleted while a batch reads it', async () => {
  const { world, process, id, input } = await begun(['ok', 'wait', 'ok'], { concurrency: 1 })
  await world.drive(() => world.tried.has('1 wait'))
  await process.files.remove(OWNER.orgId, input)
  world.letGo()
  await world.end(id)
  assert.equal((await outcome(world, process, id))[0], 'completed 3+0 of 3')
})

test('a batch whose input is gone ends with what it has', async () => {
  const { world, process, id } = await begun(['ok', 'wait', 'ok'], { concurrency: 1 })
  await world.drive(() => world.tried.has('1 wait'))
  world.letGo()
  await process.batches.close()
  rmSync(join(world.path, `${id}.held`))
  const next = await world.start()
  next.goOn()
  await world.end(id)
  assert.deepEqual(await outcome(world, next, id), ['completed 2+1 of 3', '0 ok: 200', '1 wait: 200'])
  assert.equal((await next.batches.find(OWNER.orgId, id)).batch.rest?.code, 'input_lost')
})

test('an org with many batches does not keep others waiting', async () => {
  const { world, process } = await begun(['wait'], { concurrency: 1, openMaxPerOrg: 100 })
  const { batches } = process
  await world.drive(() => world.tried.has('0 wait'))
  await Promise.all(
    Array.from({ length: 80 }, async (_, i) => {
      const lines = Array.from({ length: 2 }, (_, place) => line(`a${i} ${place}`))
      const input = await world.uploadText(process.files, lines.join('\n'))
      await batches.create(OWNER, order(input))
    }),
  )
  const owner = { orgId: 'org_b', keyId: 'key_b' }
  const input = await world.uploadText(process.files, line('b'), owner)
  await batches.create(owner, order(input))
  world.letGo()
  await world.drive(() => false)
  const ran = [...world.charged.keys()]
  assert.equal(ran.length, 1 + 2 * 80 + 1)
  assert.ok(ran.indexOf('b') < 80, `it ran as number ${ran.indexOf('b')}, though most came before it`)
})

test('batches that wait for credit leave their places to others', async () => {
  const { world, process } = await begun(['poor'])
  const { batches } = process
  for (let i = 0; i < 39; i++) await batches.create(OWNER, order(await world.upload(process, ['poor'])))
  const last = (await batches.create(OWNER, order(await world.upload(process, ['ok'])))).batch.id
  await world.end(last)
  assert.deepEqual(await outcome(world, process, last), ['completed 1+0 of 1', '0 ok: 200'])
  const page = { order: 'asc', limit: 100 } as const
  const views = await batches.list(OWNER.orgId, page)
  assert.ok(views.filter(({ batch }) => batch.status === 'in_progress').length >= 32)
})

test('what could not be written is written later', async () => {
  const { world, process, id } = await begun(['ok', 'bad'])
  const { put } = world.kept
  let broken = 3
  world.kept.put = async (...documents: readonly KeptDocument[]) => {
    if (documents.some(({ state }) => state === 'failed' || state === 'finalizing') && broken-- > 0)
      throw new Error('the disk is full')
    return put.apply(world.kept, [...documents])
  }
  await world.end(id)
  assert.deepEqual(await outcome(world, process, id), ['completed 1+1 of 2', '0 ok: 200', '1 bad: 400'])
  assert.equal(world.errors.length, 3)
  assert.deepEqual([...world.charged.values()], [1])
  assert.equal(readdirSync(world.path).length, 3, 'input, output and errors, nothing half made')
})

function line(customId: string): string {
  const body = { model: 'm', act: 'ok', name: customId }
  return JSON.stringify({ custom_id: customId, method: 'POST', url: '/v1/chat/completions', body })
}
