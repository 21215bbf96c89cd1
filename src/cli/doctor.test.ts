import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Finding } from './doctor/finding.ts'
import { portHolder, portTrouble } from './doctor/port-holder.ts'
import { renderFindings } from './doctor.ts'
import { createStyle } from './output/style.ts'
import { createCli } from './testing.ts'

const skip = process.platform === 'win32' ? 'there are no such permissions' : false

/** Runs the doctor on a home of its own; answers its findings by check. */
async function doctor(
  prepare: (home: string) => void,
  line = '',
  surroundings: { noServer?: boolean; files?: Record<string, string> } = { noServer: true },
) {
  const folder = mkdtempSync(join(tmpdir(), 'hr-'))
  const home = join(folder, 'home')
  prepare(home)
  try {
    const cli = await createCli()
    const outcome = await cli.run(`doctor --json --home ${home} --set server.port=0 ${line}`.trim(), surroundings)
    const report = JSON.parse(outcome.out) as { ok: boolean; findings: Finding[] }
    const of = (check: string) => report.findings.filter(finding => finding.check === check)
    return { ...outcome, ...report, home, of }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('doctor: a machine that is well, before the first start', async () => {
  const report = await doctor(() => {})
  assert.equal(report.code, report.ok ? 0 : 1)
  for (const check of [
    'node',
    'cpu',
    'memory',
    'engine',
    'disk',
    'config',
    'home',
    'model',
    'server',
    'port',
    'network',
  ]) {
    assert.ok(report.of(check).length > 0, check)
  }
  assert.equal(report.of('node')[0]?.status, 'ok')
  assert.match(report.of('home')[0]?.summary ?? '', /is not there yet\.$/)
  assert.match(report.of('model')[0]?.summary ?? '', /^The default model .* is not there\. The next start fetches it/)
  assert.match(
    report
      .of('network')
      .map(finding => finding.summary)
      .join('\n'),
    /huggingface\.co: fetch .* at the next start/,
  )
  assert.ok(report.findings.every(finding => finding.status !== 'broken' || finding.cure !== undefined))
})

test('doctor: secrets that others may read are broken, with the command that closes them', { skip }, async () => {
  const report = await doctor(home => {
    mkdirSync(home, { mode: 0o700 })
    writeFileSync(join(home, 'operator-token'), 'x')
    chmodSync(join(home, 'operator-token'), 0o644)
  })
  assert.equal(report.code, 1)
  assert.deepEqual(
    report.of('home').map(finding => [finding.status, finding.cure]),
    [['broken', `Run: chmod 600 ${join(report.home, 'operator-token')}`]],
  )
})

test('doctor: a model file that changed since it was recorded is broken', async () => {
  const prepare = (home: string) => {
    mkdirSync(join(home, 'models'), { recursive: true, mode: 0o700 })
    const file = join(home, 'models', 'mine.gguf')
    writeFileSync(file, 'GGUF and more')
    writeFileSync(
      `${file}.json`,
      JSON.stringify({
        version: 1,
        sha256: '00'.repeat(32),
        bytes: 13,
        mtimeMs: 1,
        modelId: 'mine',
        source: null,
        recordedMs: 1,
      }),
    )
  }
  const report = await doctor(prepare)
  const [finding] = report.of('model')
  assert.equal(finding?.status, 'broken')
  assert.match(finding?.summary ?? '', /mine\.gguf is not what it should be: SHA-256 [0-9a-f]{64}, expected /)
  assert.equal(report.code, 1)
})

test('doctor: a default model that the catalogue does not know', async () => {
  const report = await doctor(() => {}, '--set models.default=nonesuch')
  assert.match(
    report.of('model')[0]?.summary ?? '',
    /^models\.default is "nonesuch", which is no model of the catalogue\.$/,
  )
  assert.equal(report.code, 1)
})

test('doctor: upstreams are hosts that would be contacted', async () => {
  const upstreams = `'[{id: far, baseUrl: "https://api.example.com/v1", apiKeyEnv: FAR_KEY, models: [{model: v4, name: v4, contextTokens: 10}]}]'`
  const cli = await createCli()
  const { out } = await cli.run(
    `doctor --json --home /nonexistent/headrace --set server.port=0 --set models.default=null --config /desk/c.yaml`,
    {
      noServer: true,
      files: { '/desk/c.yaml': `upstreams: ${upstreams.slice(1, -1)}` },
    },
  )
  const { findings } = JSON.parse(out) as { findings: Finding[] }
  assert.deepEqual(
    findings.filter(finding => finding.check === 'network').map(finding => finding.summary),
    [
      'api.example.com: upstream far: requests for v4',
      'FAR_KEY, the API key of upstream far, is not in this environment.',
    ],
  )
})

test('doctor: a server that runs is asked how it does', async () => {
  const report = await doctor(home => mkdirSync(home, { mode: 0o700 }), '', {})
  assert.match(
    report.of('server')[0]?.summary ?? '',
    /^Headrace 0\.1\.0 has run for 1 min 30 s at http:\/\/127\.0\.0\.1:8080$/,
  )
  assert.equal(report.of('port').length, 0)
})

test('a port is free or taken, and Linux tells by whom', async () => {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  assert.equal(await portTrouble('127.0.0.1', port), 'EADDRINUSE')
  if (process.platform === 'linux') assert.equal(portHolder(port)?.pid, process.pid)
  await new Promise(resolve => server.close(resolve))
  assert.equal(await portTrouble('127.0.0.1', port), null)
  assert.equal(portHolder(port, '/nonexistent'), null)
})

test('findings in text', () => {
  const text = renderFindings(
    [
      { check: 'node', status: 'ok', summary: 'Node 26' },
      { check: 'port', status: 'broken', summary: '127.0.0.1:8080 is taken.', cure: 'Choose another.' },
    ],
    createStyle(false),
  )
  assert.equal(
    text,
    'ok      node  Node 26\nbroken  port  127.0.0.1:8080 is taken.\n              Choose another.\n\n1 thing is broken.\n',
  )
})

test('doctor: hosts of webhooks and of payments are named', async () => {
  const file = `
payments: {stripe: {secretKeyEnv: A, webhookSecretEnv: B, successUrl: "https://a.example/", cancelUrl: "https://a.example/"}}
webhooks: [{url: "https://hooks.example/x?secret", secretEnv: C}]
models: {default: null}
`
  const report = await doctor(() => {}, '--config /c.yaml', { noServer: true, files: { '/c.yaml': file } })
  assert.deepEqual(
    report.of('network').map(finding => finding.summary),
    ['hooks.example: webhook: events of money', 'api.stripe.com: payments through stripe: to begin a checkout'],
  )
})
