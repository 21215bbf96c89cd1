import { SseParser } from './sse-parser.ts'

/** A usual frame of a chat stream. */
const FRAME = Buffer.from(
  'data: {"id":"chatcmpl-9b1c5e9c2f1b4f3f8a2d","object":"chat.completion.chunk","created":1763900000,"model":"lab/model","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}\n\n',
)

/** Microseconds to split a chunk of `frames` frames, whole or cut in the middle, over `rounds` rounds. */
export function measureSplit(frames: number, cut: boolean, rounds: number): number {
  const bytes = Buffer.concat(Array.from({ length: frames }, () => FRAME))
  const chunks = cut ? [bytes.subarray(0, bytes.length >> 1), bytes.subarray(bytes.length >> 1)] : [bytes]
  const parser = new SseParser({ frameBytesMax: 1 << 20 })
  let found = 0
  const startedMs = performance.now()
  for (let round = 0; round < rounds; round++) {
    for (const chunk of chunks) {
      parser.push(chunk)
      while (parser.next()) found++
    }
  }
  const elapsedMs = performance.now() - startedMs
  if (found !== frames * rounds) throw new Error(`found ${found} frames instead of ${frames * rounds}`)
  return (elapsedMs / rounds) * 1000
}

if (import.meta.main) {
  const rounds = process.argv.includes('--small') ? 2_000 : 200_000
  const cases = [
    [1, false],
    [1, true],
    [8, false],
  ] as const
  for (const [frames, cut] of cases) {
    measureSplit(frames, cut, rounds / 4)
    const split = measureSplit(frames, cut, rounds).toFixed(3)
    console.log(`${frames} frame(s) a chunk${cut ? ', cut in two' : ''}: ${split} µs`)
  }
}
