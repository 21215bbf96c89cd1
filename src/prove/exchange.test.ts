import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { Pool } from 'undici'
import { exchange, type Seen } from './exchange.ts'
import type { Abort, RequestPlan } from './plan.ts'

/** What a client of a proof makes of an answer, to the last byte that came. */

let answer: (response: ServerResponse) => void = () => {}
let asked: Record<string, unknown> = {}
const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    asked = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    answer(response)
  })
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const pool = new Pool(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
after(async () => {
  await pool.destroy()
  server.closeAllConnections()
  server.close()
})

const USAGE =
  '{"prompt_tokens":20,"completion_tokens":4,"total_tokens":24,"prompt_tokens_details":{"cached_tokens":16},"estimated_cost":0.000000021}'
const TOLD = { input: 20, cached: 16, output: 4, costNanodollars: 21n }
const text = (index = 0) => `data: {"choices":[{"index":${index},"delta":{"content":"a"},"finish_reason":null}]}\n\n`
const finish = (index = 0) => `data: {"choices":[{"index":${index},"delta":{},"finish_reason":"length"}]}\n\n`
const usage = `data: {"choices":[],"usage":${USAGE}}\n\n`
const done = 'data: [DONE]\n\n'
const body = `{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}],"usage":${USAGE}}`

function check(
  name: string,
  parts: readonly string[],
  expected: Partial<Seen>,
  options: { plan?: Partial<RequestPlan>; abort?: Abort; status?: number; broken?: boolean } = {},
): void {
  test(name, async () => {
    const plan: RequestPlan = {
      stream: true,
      includeUsage: true,
      prompt: 'Hello',
      maxTokens: 4,
      choices: 1,
      abort: options.abort ?? null,
      death: null,
      ...options.plan,
    }
    const type = parts[0]?.startsWith('data:') === true ? 'text/event-stream' : 'application/json'
    answer = response => {
      const whole = parts.join('')
      // A body that breaks off is shorter than its head said.
      const length =
        type === 'application/json' && options.broken === true ? { 'content-length': whole.length + 1 } : {}
      response.writeHead(options.status ?? 200, { 'content-type': type, 'x-request-id': 'req_1', ...length })
      response.write(whole, () => {
        if (options.broken === true) response.destroy()
        else if (options.abort === undefined) response.end()
      })
    }
    const seen = await exchange(pool, 'sk-hr-x', plan)
    assert.deepEqual(seen, {
      status: options.status ?? 200,
      requestId: 'req_1',
      errorCode: null,
      isWhole: false,
      isDone: false,
      told: null,
      cut: null,
      ...expected,
    })
  })
}

check('a whole stream', [text(), finish(), usage, done], { isWhole: true, isDone: true, told: TOLD })
check('a stream that ends before its finish', [text(), done], { isDone: true })
check(
  'a stream that breaks after its finish looks whole',
  [text(), finish()],
  { isWhole: true, cut: 'broken' },
  { broken: true },
)
check('a stream that breaks before it', [text()], { cut: 'broken' }, { broken: true })
check('one choice of two is not the whole', [text(), finish(), done], { isDone: true }, { plan: { choices: 2 } })
check(
  'both choices are',
  [text(1), finish(1), text(), finish(), done],
  { isWhole: true, isDone: true },
  { plan: { choices: 2 } },
)
check('an error frame', [text(), 'data: {"error":{"code":"upstream_error"}}\n\n'], { errorCode: 'upstream_error' })
check('a whole body', [body], { isWhole: true, isDone: true, told: TOLD })
check('a body that lacks its last bytes', [body.slice(0, -1)], { cut: 'broken' }, { broken: true })
check(
  'a refusal',
  ['{"error":{"code":"key_cap_exceeded"}}'],
  { status: 402, errorCode: 'key_cap_exceeded' },
  { status: 402 },
)
check(
  'a client that leaves in the middle',
  [text(), text()],
  { cut: 'left' },
  { abort: { when: 'mid_stream', afterFrames: 2 } },
)
check(
  'a client that leaves too late',
  [text(), finish(), usage, done],
  { cut: 'left', isWhole: true, isDone: true, told: TOLD },
  { abort: { when: 'near_the_end', afterFrames: 1 } },
)

test('a client that leaves before the first byte; and what is asked for', async () => {
  answer = () => {}
  const plan: RequestPlan = {
    stream: true,
    includeUsage: false,
    prompt: 'Hello',
    maxTokens: 4,
    choices: 2,
    abort: { when: 'before_first_byte', afterMs: 20 },
    death: 'dies_mid_stream',
  }
  const { status, requestId, cut, isWhole } = await exchange(pool, 'sk-hr-x', plan)
  assert.deepEqual([status, requestId, cut, isWhole], [0, null, 'left', false])
  assert.deepEqual(asked, {
    model: 'simulated',
    messages: [{ role: 'user', content: 'Hello' }],
    max_tokens: 4,
    n: 2,
    stream: true,
    stream_options: { include_usage: false },
    simulate: { fault: 'dies_mid_stream' },
  })
})
