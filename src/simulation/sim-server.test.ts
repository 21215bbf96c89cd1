import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { createSimServer, type SimServerOptions } from './sim-server.ts'

const FAST: SimServerOptions = {
  tokensPerSecond: null,
  answerTokens: 4,
  cacheTokensMax: 1000,
  slots: 4,
  faultRate: 0,
  seed: 7,
}

async function withServer(options: Partial<SimServerOptions>, use: (url: string) => Promise<void>): Promise<void> {
  const server = createSimServer({ ...FAST, ...options })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`)
  } finally {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
}

function post(url: string, body: object): Promise<Response> {
  return fetch(url, { method: 'POST', body: JSON.stringify(body) })
}

const LONG = { messages: [{ role: 'user', content: 'a long question '.repeat(20) }] }

async function json(response: Response) {
  const body = await response.json()
  return body as { usage: object; choices: { message?: { content: string }; text?: string }[] }
}

/** The answer of a stream as text by choice, with its usage. */
async function readStream(response: Response) {
  const texts: string[] = []
  let usage: unknown
  const frames = (await response.text()).split('\n\n').filter(frame => frame !== '')
  assert.equal(frames.pop(), 'data: [DONE]')
  for (const frame of frames) {
    const chunk = JSON.parse(frame.slice('data: '.length))
    usage ??= chunk.usage
    for (const { index, delta, text } of chunk.choices) {
      texts[index] = (texts[index] ?? '') + (delta?.content ?? text ?? '')
    }
  }
  return { texts, usage }
}

for (const [speed, tokensPerSecond] of [
  ['as fast as it can', null],
  ['at a speed', 20_000],
] as const) {
  test(`${speed}: streams and bodies say the same, and a repeated prompt is cached`, () =>
    withServer({ tokensPerSecond }, async url => {
      const first = await readStream(
        await post(`${url}/chat/completions`, { ...LONG, stream: true, n: 2, max_tokens: 3 }),
      )
      assert.deepEqual(
        first.texts.map(text => text.split(' ').length - 1),
        [3, 3],
      )
      assert.deepEqual(first.usage, usage(85, 0, 6))
      const second = await json(await post(`${url}/chat/completions`, { ...LONG, n: 2, max_tokens: 3 }))
      assert.deepEqual(
        second.choices.map(choice => choice.message?.content),
        first.texts,
      )
      assert.deepEqual(second.usage, usage(85, 80, 6))
    }))

  test(`${speed}: text completions answer each prompt`, () =>
    withServer({ tokensPerSecond }, async url => {
      const prompt = ['one', 'two']
      const { texts } = await readStream(await post(`${url}/completions`, { prompt, stream: true }))
      assert.equal(texts.length, 2)
      const body = await json(await post(`${url}/completions`, { prompt }))
      assert.deepEqual(
        body.choices.map(choice => choice.text),
        texts,
      )
    }))
}

test('faults come as refusals, broken connections or odd answers, the same for the same seed', async () => {
  const outcomes = async () => {
    const found: string[] = []
    let leave = new AbortController()
    // Nobody waits for an answer that never comes.
    const onFault = (fault: string) => {
      if (fault.startsWith('stalls')) leave.abort()
    }
    await withServer({ faultRate: 1, seed: 3, onFault }, async url => {
      for (let i = 0; i < 12; i++) {
        leave = new AbortController()
        const body = JSON.stringify({ ...LONG, stream: true, max_tokens: 40 })
        found.push(
          await fetch(`${url}/chat/completions`, { method: 'POST', body, signal: leave.signal })
            .then(async response => `${response.status} ${(await response.text()).endsWith('[DONE]\n\n')}`)
            .catch((error: Error) => (error.name === 'AbortError' ? 'stalled' : 'broken')),
        )
      }
    })
    return found
  }
  const first = await outcomes()
  assert.ok(new Set(first).size > 2, first.join(', '))
  assert.deepEqual(await outcomes(), first)
})

test('a request may choose its own fault, and its end is told', async () => {
  const ends: [fault: string | null, end: string | null, cancelled: boolean][] = []
  const options: Partial<SimServerOptions> = {
    faultOf: ({ body }) => (body.dies === true ? 'dies_mid_stream' : null),
    onEnded: ({ fault, end, cancelled }) => ends.push([fault, end, cancelled]),
    engine: { tokensPerStep: 2 },
  }
  await withServer(options, async url => {
    const ask = (dies: boolean) => post(`${url}/chat/completions`, { ...LONG, stream: true, max_tokens: 6, dies })
    const { texts } = await readStream(await ask(false))
    assert.equal(texts[0]?.trim().split(' ').length, 6)
    const broken = await ask(true)
    await assert.rejects(broken.text())
  })
  assert.deepEqual(ends, [
    [null, 'completed', false],
    ['dies_mid_stream', 'failed', false],
  ])
})

test('as a process it says its port, and refuses what it cannot read', async () => {
  const child = spawn(process.execPath, [resolve(import.meta.dirname, 'sim-server.ts'), '--port', '0', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [line] = await once(child.stdout, 'data')
    const url = `http://127.0.0.1:${JSON.parse(String(line)).port}/v1`
    assert.equal((await fetch(`${url}/models`)).status, 200)
    assert.equal((await fetch(`${url}/nowhere`)).status, 404)
    assert.equal((await fetch(`${url}/completions`, { method: 'POST', body: '{' })).status, 400)
    assert.equal((await post(`${url}/completions`, { n: 1000 })).status, 400)
    assert.equal((await post(`${url}/completions`, { prompt: [1, 2, 3] })).status, 200)
  } finally {
    child.kill()
    await once(child, 'exit')
  }
})

function usage(input: number, cached: number, output: number) {
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: cached },
  }
}
