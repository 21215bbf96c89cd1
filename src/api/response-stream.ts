/** Tells frames of a stream, whole ones, several in one text. */
export interface FrameWatcher {
  write(text: string): void
  end(): void
}

const SEQUENCE = /"sequence_number":(\d+)/

/**
 * An answer of server-sent events from frames that somebody tells, without those whose number is not above `after`. `watch` begins the
 * telling and answers what ends it; what it throws becomes the answer.
 */
export function eventStream(watch: (watcher: FrameWatcher) => () => void, after: number): Response {
  let stop: () => void = () => undefined
  let ended = false
  const encoder = new TextEncoder()
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      stop = watch({
        write(text) {
          if (ended) return
          const wanted = text
            .split('\n\n')
            .filter(frame => Number(SEQUENCE.exec(frame)?.[1] ?? -1) > after)
            .map(frame => `${frame}\n\n`)
            .join('')
          if (wanted !== '') controller.enqueue(encoder.encode(wanted))
        },
        end() {
          if (ended) return
          ended = true
          controller.close()
        },
      })
    },
    cancel() {
      ended = true
      stop()
    },
  })
  return new Response(body, {
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
    },
  })
}
