import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { controlSocketPath, homeTooLong } from '../config/home-paths.ts'
import { loadConfig } from '../config/load.ts'
import { createControlClient } from '../control/client.ts'
import { createHarness, OPERATOR_TOKEN } from '../control/testing.ts'
import type { CliError } from './cli-error.ts'
import { openControlChannel } from './control-connection.ts'
import type { ControlMode } from './io.ts'
import type { Composition } from './serve-types.ts'

const skip = process.platform === 'win32' ? 'named pipes have no file to look at' : false

/** A home in a folder of its own, perhaps with a server that answers as the control plane does. */
async function createHome(parts: { listen?: boolean; token?: string } = {}) {
  const home = mkdtempSync(join(tmpdir(), 'hr-'))
  if (parts.token !== undefined) writeFileSync(join(home, 'operator-token'), `${parts.token}\n`, { mode: 0o600 })
  let server: Server | null = null
  if (parts.listen === true) {
    const { app } = await createHarness()
    server = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      const body = chunks.length === 0 ? undefined : Buffer.concat(chunks)
      const answer = await app.fetch(
        new Request(`http://localhost${request.url}`, {
          method: request.method,
          headers: request.headers as Record<string, string>,
          body,
        }),
      )
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(Buffer.from(await answer.arrayBuffer()))
    })
    await new Promise<void>(resolve => server?.listen(controlSocketPath(home), resolve))
  }
  const { config } = loadConfig({ flags: { home }, env: {}, userHome: home, cwd: home, readFile: () => null })
  return {
    home,
    server,
    open: (
      mode: ControlMode,
      compose: () => Promise<Pick<Composition, 'openOffline'>> = () =>
        Promise.reject(new Error('nothing is composed here')),
    ) => openControlChannel(config, mode, compose),
    async [Symbol.asyncDispose]() {
      if (server?.listening) await new Promise(resolve => server?.close(resolve))
      rmSync(home, { recursive: true, force: true })
    },
  }
}

test('a server that runs is called over its socket, with the token of the home', { skip }, async () => {
  await using home = await createHome({ listen: true, token: OPERATOR_TOKEN })
  const channel = await home.open('server')
  assert.equal(channel.via, 'server')
  const client = createControlClient(request => channel.send(request), channel.operatorToken())
  assert.equal((await client.createOrg({ name: 'äcme' })).name, 'äcme')
  assert.deepEqual(
    (await client.listOrgs()).data.map(org => org.name),
    ['äcme'],
  )
  await assert.rejects(client.getOrg('none'), { status: 404, code: 'not_found' })
  await channel.close()
})

test('a socket that a killed server left behind means that no server runs', { skip }, async () => {
  await using home = await createHome({ listen: true })
  const path = controlSocketPath(home.home)
  // Closing removes the file; a kill does not, and a plain file refuses connections the same way.
  await new Promise(resolve => home.server?.close(resolve))
  writeFileSync(path, '')
  assert.ok(existsSync(path))
  await assert.rejects(
    home.open('server'),
    (error: CliError) => error.exitCode === 3 && /No server runs/.test(error.message),
  )
})

test('without a server the home is opened here, and closed afterwards', async () => {
  await using home = await createHome({ token: OPERATOR_TOKEN })
  const { app } = await createHarness({ offline: true })
  let closed = 0
  const channel = await home.open('any', async () => ({
    serve: () => Promise.reject(new Error('not wanted')),
    openOffline: async () => ({
      send: async request => await app.fetch(request),
      async close() {
        closed++
      },
    }),
  }))
  assert.equal(channel.via, 'offline')
  const client = createControlClient(request => channel.send(request), channel.operatorToken())
  assert.deepEqual((await client.listOrgs()).data, [])
  await channel.close()
  assert.equal(closed, 1)
})

test('a home that is not there is not created by looking at it', async () => {
  await using home = await createHome()
  rmSync(home.home, { recursive: true })
  await assert.rejects(
    home.open('any'),
    (error: CliError) => error.exitCode === 1 && /There is no Headrace home/.test(error.message),
  )
  assert.ok(!existsSync(home.home))
})

test('an operator token that others may read is not sent', { skip }, async () => {
  await using home = await createHome({ listen: true, token: OPERATOR_TOKEN })
  chmodSync(join(home.home, 'operator-token'), 0o644)
  const channel = await home.open('server')
  assert.throws(() => channel.operatorToken(), /may be read by others/)
  await channel.close()
})

test('a home whose socket path the system would not take is refused', () => {
  assert.equal(homeTooLong('/home/ada/.headrace', 'linux'), null)
  assert.match(homeTooLong(`/${'x'.repeat(100)}`, 'linux') ?? '', /has 114 bytes, and the system allows 103/)
  assert.equal(homeTooLong(`C:\\${'x'.repeat(200)}`, 'win32'), null)
  assert.match(controlSocketPath('C:\\Users\\ada', 'win32'), /^\\\\\.\\pipe\\headrace-[0-9a-f]{24}$/)
})
