import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventStream, type FrameWatcher } from './response-stream.ts'

const frame = (n: number) => `event: e\ndata: {"type":"e","sequence_number":${n},"text":"ä"}\n\n`

test('events up to a number are left out, wherever the texts are cut between frames', async () => {
  const response = eventStream(watcher => {
    watcher.write(frame(0) + frame(1))
    watcher.write(frame(2))
    watcher.write(': keep-alive\n\n')
    watcher.write(frame(3))
    watcher.end()
    return () => undefined
  }, 1)
  assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/)
  assert.equal(await response.text(), frame(2) + frame(3))
})

test('a reader that leaves is not told any more', async () => {
  let stopped = 0
  let telling: FrameWatcher | undefined
  const response = eventStream(watcher => {
    telling = watcher
    watcher.write(frame(0))
    return () => void stopped++
  }, -1)
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  await reader.read()
  await reader.cancel()
  telling?.write(frame(1))
  telling?.end()
  assert.equal(stopped, 1)
})

test('what cannot be told is an error and no stream', () => {
  assert.throws(
    () =>
      eventStream(() => {
        throw new Error('not here')
      }, -1),
    /not here/,
  )
})
