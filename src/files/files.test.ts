import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { MemoryKept } from '../ledger/testing.ts'
import { FileFolder } from './file-folder.ts'
import { type FileHolder, type FileSettings, Files } from './files.ts'

const OWNER = { orgId: 'org_a', keyId: 'key_a' }
const TERMS = { filename: 'in.jsonl', purpose: 'batch', expiresAfterS: null } as const
const SETTINGS: FileSettings = { bytesMax: 20_000, totalBytesMaxPerOrg: 40_000, keepMs: null }

const base = await mkdtemp(join(tmpdir(), 'hr-files-'))
after(() => rm(base, { recursive: true, force: true }))
let places = 0

/** A home of files that can be opened again and again, as by one process after another. */
function place(settings = SETTINGS, freeBytes?: number) {
  const path = join(base, String(places++))
  const kept = new MemoryKept()
  let ids = 0
  return {
    path,
    kept,
    nowMs: 1_000,
    async open(holders: readonly FileHolder[] = []): Promise<Files> {
      const folder = await FileFolder.open(path)
      if (freeBytes !== undefined) folder.freeBytes = async () => freeBytes
      const newId = (prefix: string) => `${prefix}${++ids}`
      return Files.open({ folder, kept, nowMs: () => this.nowMs, newId, settings }, holders)
    },
  }
}

async function upload(files: Files, bytes: number, terms: Parameters<Files['finish']>[2] = TERMS) {
  const upload = await files.begin(OWNER, 0)
  try {
    for (let left = bytes; left > 0; left -= 1000) await upload.write(Buffer.alloc(Math.min(left, 1000), 'x'))
    return await files.finish(upload, OWNER, terms)
  } catch (error) {
    await upload.abandon()
    throw error
  }
}

test('a file is whole on disk, for its owner alone, and found by its org alone', async () => {
  const home = place()
  const files = await home.open()
  const file = await upload(files, 2500)
  assert.deepEqual(
    { ...file },
    { ...OWNER, ...(await files.find('org_a', file.id)), bytes: 2500, filename: 'in.jsonl' },
  )
  await assert.rejects(files.find('org_b', file.id), { code: 'file_not_found' })
  assert.equal(await readFile(join(home.path, file.id), 'utf8'), 'x'.repeat(2500))
  assert.equal((await stat(home.path)).mode & 0o777, 0o700)
  assert.equal((await stat(join(home.path, file.id))).mode & 0o777, 0o600)
  assert.deepEqual(await readdir(home.path), [file.id])
  assert.equal(await files.remove('org_b', file.id), false)
  assert.equal(await files.remove('org_a', file.id), true)
  assert.equal(await files.remove('org_a', file.id), false)
  assert.deepEqual(await readdir(home.path), [])
})

test('a file beyond its bound, or the bound of all, is refused and leaves nothing', async () => {
  const home = place()
  const files = await home.open()
  await assert.rejects(upload(files, 20_001), { code: 'file_too_large', status: 413 })
  await upload(files, 20_000)
  const second = await upload(files, 15_000)
  await assert.rejects(upload(files, 6000), { code: 'file_storage_full', status: 413 })
  await assert.rejects(files.begin(OWNER, 6000), { code: 'file_storage_full' })
  assert.equal((await readdir(home.path)).length, 2)
  await (await files.begin({ ...OWNER, orgId: 'org_b' }, 6000)).abandon()
  await files.remove('org_a', second.id)
  await upload(files, 20_000)
  // Empty files take room too, else there could be any number of them.
  const crowded = await place({ ...SETTINGS, totalBytesMaxPerOrg: 12_000 }).open()
  await upload(crowded, 0)
  await upload(crowded, 0)
  await assert.rejects(upload(crowded, 0), { code: 'file_storage_full' })
})

test('what we make is kept beyond the bounds of clients', async () => {
  const files = await place().open()
  const made = await files.beginOutput(OWNER)
  await made.write(Buffer.alloc(50_000))
  const { bytes } = await files.finish(made, OWNER, { ...TERMS, purpose: 'batch_output' })
  assert.equal(bytes, 50_000)
  await assert.rejects(upload(files, 1), { code: 'file_storage_full' })
})

test('an upload waits for an operator where the disk is nearly full', async () => {
  const files = await place(SETTINGS, 512 * 1024 * 1024 + 100).open()
  await (await files.begin(OWNER, 100)).abandon()
  await assert.rejects(files.begin(OWNER, 101), { code: 'storage_unavailable', status: 503 })
})

test('a start adds up what is there and removes what belongs to nobody', async () => {
  const home = place()
  const before = await home.open()
  const [kept, lost, over] = [
    await upload(before, 20_000),
    await upload(before, 100),
    await upload(before, 200, { ...TERMS, expiresAfterS: 3600 }),
  ]
  assert.equal(over.expiresMs, home.nowMs + 3_600_000)
  home.kept.forget('file', lost.id)
  const half = await before.begin(OWNER, 0)
  await half.write(Buffer.alloc(300_000, 'h').subarray(0, 10_000))
  await writeFile(join(home.path, 'batch_gone.held'), 'x')
  home.nowMs += 3_600_000
  const files = await home.open()
  assert.deepEqual(await readdir(home.path), [kept.id])
  await assert.rejects(
    upload(files, 20_000).then(() => upload(files, 1)),
    { code: 'file_storage_full' },
  )
  await half.abandon()
})

test('who holds a file keeps its bytes, by the next process too, until it lets go', async () => {
  const home = place()
  const files = await home.open()
  const file = await upload(files, 3000)
  const holder = { orgId: 'org_a', id: 'batch_1' }
  await files.hold(file, holder)
  await files.remove('org_a', file.id)
  const next = await home.open([holder])
  const handle = await next.readHeld(holder)
  assert.equal((await handle.readFile()).length, 3000)
  await handle.close()
  await next.release(holder)
  await next.release(holder)
  assert.deepEqual(await readdir(home.path), [])
})

test('a file whose time is over is not found, and its bytes can be removed', async () => {
  const home = place({ ...SETTINGS, keepMs: 10_000 })
  const files = await home.open()
  const file = await upload(files, 3000)
  assert.equal(file.expiresMs, 11_000)
  home.nowMs = 11_000
  await assert.rejects(files.find('org_a', file.id), { code: 'file_not_found' })
  for (const { orgId, id } of await home.kept.sweep(home.nowMs)) await files.removeBytes(orgId, id)
  assert.deepEqual(await readdir(home.path), [])
})

test('bytes that are gone are told of as such', async () => {
  const home = place()
  const files = await home.open()
  const file = await upload(files, 10)
  await rm(join(home.path, file.id))
  await assert.rejects(files.read(file), { code: 'file_not_found', message: /upload the file again/ })
})

test('a name is written whole, in pieces of any size', async () => {
  const folder = await FileFolder.open(join(base, 'folder'))
  const writer = await folder.create()
  const pieces = [0, 1, 300_000, 5, 262_144].map((length, i) => Buffer.alloc(length, String(i)))
  for (const piece of pieces) await writer.write(piece)
  await writer.commit('whole')
  assert.ok((await readFile(join(base, 'folder', 'whole'))).equals(Buffer.concat(pieces)))
  assert.equal(await folder.size('whole'), 562_150)
  assert.equal(await folder.size('nothing'), null)
})
