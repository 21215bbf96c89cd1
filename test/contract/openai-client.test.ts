import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import OpenAI from 'openai'

/* The official client reads every answer that the transcripts say we give, without a server in between. */

const ROOT = join(import.meta.dirname, 'transcripts')

type Prompt = OpenAI.CompletionCreateParamsNonStreaming

function clientThatReads(file: string): OpenAI {
  const contentType = file.endsWith('.json') ? 'application/json' : 'text/event-stream'
  const body = readFileSync(file)
  const fetch = () => Promise.resolve(new Response(body, { status: 200, headers: { 'content-type': contentType } }))
  return new OpenAI({ apiKey: 'sk-test', baseURL: 'http://127.0.0.1:9/v1', fetch, maxRetries: 0 })
}

for (const file of globSync('*/*/case.json', { cwd: ROOT }).sort()) {
  const folder = dirname(join(ROOT, file))
  const spec = JSON.parse(readFileSync(join(ROOT, file), 'utf8'))
  const chat = spec.protocol === 'openai-chat'
  for (const mode of ['passthrough', 'decoded']) {
    test(`${dirname(file)}, ${mode}`, async () => {
      const client = clientThatReads(join(folder, `client.${mode}.sse`))
      const events = readFileSync(join(folder, `events.${mode}.jsonl`), 'utf8')
        .trimEnd()
        .split('\n')
      const { end, usage } = JSON.parse(events.at(-1) as string)
      const answer = async () => {
        if (chat) return await client.chat.completions.stream({ ...spec.body, stream: true }).finalChatCompletion()
        let last: OpenAI.Completion | undefined
        for await (const chunk of await client.completions.create({ ...(spec.body as Prompt), stream: true }))
          last = chunk
        return last as OpenAI.Completion
      }
      if (end !== 'completed') {
        await assert.rejects(answer)
        return
      }
      const { usage: seen } = await answer()
      assert.deepEqual(
        [seen?.prompt_tokens, seen?.prompt_tokens_details?.cached_tokens, seen?.completion_tokens],
        [usage.inputTokens, usage.cachedInputTokens, usage.outputTokens],
      )
      const buffered = JSON.parse(readFileSync(join(folder, 'client.buffered.json'), 'utf8'))
      assert.deepEqual(seen, buffered.usage)
    })
  }
}
