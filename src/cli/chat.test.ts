import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { run } from './program.ts'
import { createCli } from './testing.ts'

interface Asked {
  readonly url: string
  readonly key: string
  // biome-ignore lint/suspicious/noExplicitAny: whatever the client sent
  readonly body: any
}

const USAGE = {
  prompt_tokens: 12,
  completion_tokens: 3,
  prompt_tokens_details: { cached_tokens: 8 },
  estimated_cost: 0.0000012,
}

function frames(...deltas: object[]): string {
  const chunks = deltas.map(delta => ({ choices: [{ index: 0, delta, finish_reason: null }], usage: null }))
  const all = [...chunks, { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }, { choices: [], usage: USAGE }]
  return `${all.map(chunk => `data: ${JSON.stringify(chunk)}\n\n`).join('')}: a comment\n\ndata: [DONE]\n\n`
}

const HELLO = frames({ role: 'assistant', content: '' }, { content: 'Hel' }, { content: 'lo.' })

/** An API on loopback that answers every chat as `answer` says, and the command line with a model for sale. */
async function createWorld(answer: (response: ServerResponse, asked: Asked) => void) {
  const asked: Asked[] = []
  const server = createServer(async (request: IncomingMessage, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    const one = {
      url: request.url ?? '',
      key: request.headers.authorization ?? '',
      body: text === '' ? null : JSON.parse(text),
    }
    asked.push(one)
    response.setHeader('x-request-id', 'req_1')
    answer(response, one)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const cli = await createCli()
  Object.assign(cli.harness.deps.status(), { listening: [url] })
  const { client } = cli.harness
  await client.createOrg({ name: 'default' })
  for (const id of ['another', 'smollm2-135m-instruct']) {
    await client.putModel(id, { context_tokens: 100, targets: [{ upstream: 'engine', upstream_model: id }] })
    await client.setPrice(id, { input: '0.10', cached_input: '0.02', output: '0.40' })
  }
  return {
    ...cli,
    url,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

test('chat with a prompt: answer on standard output, figures on standard error, its key revoked', async () => {
  await using world = await createWorld(response => response.end(HELLO))
  const { code, out, err } = await world.run('chat Say hello.')
  assert.equal(code, 0)
  assert.equal(out, 'Hello.\n')
  assert.equal(err, '12 in (8 cached), 3 out, $0.0000012, first token 0 ms\n')
  const [request] = world.asked
  assert.equal(request?.url, '/v1/chat/completions')
  assert.match(request?.key ?? '', /^Bearer sk-hr-/)
  assert.equal(request?.body.model, 'smollm2-135m-instruct')
  assert.deepEqual(request?.body.messages, [{ role: 'user', content: 'Say hello.' }])
  const keys = [...world.harness.fake.keys.values()]
  assert.deepEqual(
    keys.map(key => [key.name, key.revokedMs !== null, key.expiresMs !== null]),
    [['chat in a terminal', true, true]],
  )
})

test('chat with a piped prompt, instructions, bound, model and key', async () => {
  await using world = await createWorld(response => response.end(HELLO))
  const { code } = await world.run('chat --system Short. --max-tokens 5 --model another', {
    stdin: 'Say\nhello.\n',
    env: { HEADRACE_API_KEY: 'sk-hr-mine' },
  })
  assert.equal(code, 0)
  const [request] = world.asked
  assert.equal(request?.key, 'Bearer sk-hr-mine')
  assert.equal(request?.body.max_tokens, 5)
  assert.equal(request?.body.model, 'another')
  assert.deepEqual(request?.body.messages, [
    { role: 'system', content: 'Short.' },
    { role: 'user', content: 'Say\nhello.' },
  ])
  assert.equal(world.harness.fake.keys.size, 0)
})

test('chat --json gives one document', async () => {
  await using world = await createWorld(response =>
    response.end(frames({ reasoning_content: 'Hm.' }, { content: 'Hello.' })),
  )
  const { out } = await world.run('chat hi --json')
  assert.deepEqual(JSON.parse(out), {
    model: 'smollm2-135m-instruct',
    requestId: 'req_1',
    content: 'Hello.',
    reasoning: 'Hm.',
    finishReason: 'stop',
    inputTokens: 12,
    cachedInputTokens: 8,
    outputTokens: 3,
    cost: 0.0000012,
    ttftMs: 0,
    tokensPerSecond: null,
  })
})

test('chat at another URL needs a key, and finds a model there', async () => {
  await using world = await createWorld((response, { url }) =>
    response.end(url === '/v1/models' ? '{"data":[{"id":"theirs"}]}' : HELLO),
  )
  assert.equal((await world.run(`chat hi --url ${world.url}/v1`)).code, 2)
  const { code } = await world.run(`chat hi --url ${world.url}/v1/ --key k`)
  assert.equal(code, 0)
  assert.equal(world.asked.at(-1)?.body.model, 'theirs')
})

for (const [name, answer, code, text] of [
  [
    'an error of ours brings its cure',
    (response: ServerResponse) => {
      response.statusCode = 402
      response.end(
        '{"error":{"message":"Nothing is left.","type":"insufficient_quota","param":null,"code":"insufficient_balance"}}',
      )
    },
    1,
    /^headrace: Nothing is left\.\n {2}Add credit \(headrace credit add\)/,
  ],
  [
    'an error of somebody else is told as it is',
    (response: ServerResponse) => response.writeHead(502).end('<html>bad gateway'),
    1,
    /^headrace: The server answered 502: <html>bad gateway\n/,
  ],
  [
    'an error frame ends the answer',
    (response: ServerResponse) =>
      response.end(
        'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\ndata: {"error":{"message":"The model server failed.","code":"upstream_error"}}\n\n',
      ),
    1,
    /^headrace: The model server failed\.\n {2}The model server failed; repeat the request\./,
  ],
  [
    'a cut connection is told in words',
    (response: ServerResponse) => {
      response.write('data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n', () => response.destroy())
    },
    1,
    /^headrace: The connection broke off before the answer was whole\./,
  ],
  [
    'a frame that is not JSON',
    (response: ServerResponse) => response.end('data: hello\n\n'),
    1,
    /^headrace: The server sent a frame that is not JSON\./,
  ],
] as const) {
  test(`chat: ${name}`, async () => {
    await using world = await createWorld(answer)
    const outcome = await world.run('chat hi')
    assert.equal(outcome.code, code)
    assert.match(outcome.err, text)
    // The chat's own key goes with it.
    assert.ok([...world.harness.fake.keys.values()].every(key => key.revokedMs !== null))
  })
}

test('chat: Ctrl-C stops the answer and exits with 130', async () => {
  const begun = Promise.withResolvers<void>()
  const left = Promise.withResolvers<void>()
  await using world = await createWorld(response => {
    response.on('close', () => left.resolve())
    response.write('data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n', () => begun.resolve())
  })
  const outcome = world.run('chat hi')
  await begun.promise
  world.interrupt()
  assert.equal((await outcome).code, 130)
  await left.promise
})

for (const [name, line, surroundings, code, text] of [
  ['nothing to ask', 'chat', { stdin: ' \n' }, 2, /There is no prompt\./],
  ['no server', 'chat hi', { noServer: true }, 3, /No server runs/],
  [
    'nobody at the URL',
    'chat hi --url http://127.0.0.1:9/v1 --key k --model m',
    {},
    3,
    /127\.0\.0\.1:9\/v1 cannot be reached: .*\n {2}Is the server running/,
  ],
] as const) {
  test(`chat: ${name}`, async () => {
    await using world = await createWorld(response => response.end(HELLO))
    const outcome = await world.run(line, surroundings)
    assert.equal(outcome.code, code)
    assert.match(outcome.err, text)
  })
}

test('chat: a key that cannot be revoked is told, and the answer stands', async () => {
  await using world = await createWorld(response => response.end(HELLO))
  world.harness.fake.revokeKey = () => Promise.reject(new Error('the disk is full'))
  const { code, out, err } = await world.run('chat hi')
  assert.deepEqual([code, out], [0, 'Hello.\n'])
  assert.match(
    err,
    /The key of this chat could not be revoked: .*\n {2}It ends by itself in a day; to end it now: npx headrace keys revoke key_/,
  )
})

test('a conversation: answers build on each other, /reset forgets, an error does not end it, Ctrl-C stops an answer only', async () => {
  const slow = Promise.withResolvers<void>()
  await using world = await createWorld((response, { body }) => {
    const last = body.messages.at(-1).content
    if (last === 'fail') response.writeHead(500).end('{"error":{"message":"It failed.","code":"server_error"}}')
    else if (last === 'slow')
      response.write('data: {"choices":[{"delta":{"content":"\\u001b[31mHm"}}]}\n\n', () => slow.resolve())
    else response.end(HELLO)
  })
  const stdin = Object.assign(new PassThrough(), { isTTY: true })
  let out = ''
  let err = ''
  const said = async (text: string, count: number) => {
    while (out.split(text).length <= count && err.split(text).length <= count)
      await new Promise(resolve => setImmediate(resolve))
  }
  const io = {
    ...world.io(
      { columns: 80 },
      text => {
        out += text
      },
      text => {
        err += text
      },
    ),
    stdin,
  }
  // readline wants a whole stream to echo to.
  const stdout = Object.assign(new PassThrough(), { isTTY: true, columns: 80 })
  stdout.on('data', chunk => {
    out += chunk
  })
  const outcome = run(['chat'], { ...io, stdout, env: { NO_COLOR: '1' } })
  await said('Ctrl-C stops an answer', 1)
  stdin.write('one\n')
  await said('12 in', 1)
  stdin.write('fail\n')
  await said('It failed.', 1)
  stdin.write('two\n')
  await said('12 in', 2)
  stdin.write('/reset\nslow\n')
  await slow.promise
  await said('Hm', 1)
  stdin.write('\u0003')
  await said('stopped', 1)
  stdin.write('three\n')
  await said('12 in', 3)
  stdin.write('/exit\n')
  assert.equal(await outcome, 0)
  const conversations = world.asked.map(({ body }) =>
    body.messages.map((message: { content: string }) => message.content).join('|'),
  )
  assert.deepEqual(conversations, ['one', 'one|Hello.|fail', 'one|Hello.|two', 'slow', 'slow|\u001b[31mHm|three'])
  assert.ok(!out.includes('\u001b[31m'), 'a model cannot steer the terminal')
  assert.ok([...world.harness.fake.keys.values()].every(key => key.revokedMs !== null))
})
