import assert from 'node:assert/strict'
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { withFileLock } from './file-lock.ts'
import {
  findModelFile,
  listModelFiles,
  modelsFolder,
  recordModelFile,
  removeModelFile,
  verifyModelFile,
} from './model-files.ts'
import { sha256, temporaryFolder } from './test-support.ts'

test('a file is hashed once, and again only when it changed', async () => {
  await using home = await temporaryFolder()
  const bytes = Buffer.from('GGUF and more')
  const file = path.join(modelsFolder(home.path), 'm.gguf')
  const wanted = { modelId: 'm', name: 'm.gguf', bytes: bytes.length, sha256: sha256(bytes) }
  let hashed = 0
  const options = {
    onProgress: (done: number, total: number) => {
      if (done === total) hashed++
    },
  }

  assert.deepEqual(await listModelFiles(home.path), [])
  assert.equal(await findModelFile(home.path, wanted, options), null)
  await mkdir(modelsFolder(home.path))
  await writeFile(file, bytes)
  assert.equal((await listModelFiles(home.path))[0]?.sha256, null)
  assert.equal((await findModelFile(home.path, wanted, options))?.path, file)
  assert.equal((await findModelFile(home.path, wanted, options))?.modelId, 'm')
  assert.equal(hashed, 1)

  await writeFile(file, 'GGUF and MORE')
  await utimes(file, 1, 1)
  assert.equal(await findModelFile(home.path, wanted, options), null)
  assert.equal(hashed, 2)
  assert.equal((await verifyModelFile(home.path, 'm.gguf')).state, 'changed')
  await writeFile(file, bytes)
  assert.equal((await verifyModelFile(home.path, 'm.gguf')).state, 'ok')
  assert.equal((await listModelFiles(home.path))[0]?.sha256, wanted.sha256)

  await writeFile(`${file}.json`, '{ broken')
  assert.equal((await verifyModelFile(home.path, 'm.gguf')).state, 'unrecorded')
  assert.equal(await removeModelFile(home.path, 'm.gguf'), true)
  assert.equal(await removeModelFile(home.path, 'm.gguf'), false)
  await assert.rejects(readFile(`${file}.json`), /ENOENT/)
  await assert.rejects(verifyModelFile(home.path, 'm.gguf'), /there is no m\.gguf/)
  for (const name of ['../m.gguf', 'm.txt', '.m.gguf', 'a/m.gguf']) {
    await assert.rejects(
      recordModelFile(home.path, name, { sha256: '', modelId: null, source: null }),
      /is not the name of a model file/,
    )
  }
})

test('a lock admits one at a time, survives a dead holder, and lets waiters leave', async () => {
  await using folder = await temporaryFolder()
  const lock = path.join(folder.path, 'x.lock')
  let running = 0
  const work = async () => {
    assert.equal(++running, 1)
    await new Promise(resolve => setImmediate(resolve))
    running--
  }
  await Promise.all(Array.from({ length: 10 }, () => withFileLock(lock, undefined, work)))

  // No process has this number: it is above the largest that Linux gives out.
  await writeFile(lock, '4194305')
  await withFileLock(lock, undefined, work)

  const stop = new AbortController()
  const { promise, resolve } = Promise.withResolvers<void>()
  const holder = withFileLock(lock, undefined, () => promise)
  const waiter = withFileLock(lock, stop.signal, work)
  const next = withFileLock(lock, undefined, work)
  stop.abort()
  await assert.rejects(waiter, /stopped before it was done/)
  running = 1
  setImmediate(() => {
    running = 0
    resolve()
  })
  await Promise.all([holder, next])
})
