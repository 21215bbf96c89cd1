/** A client that keeps everything it was told, to the last broken byte. */

/** What a client saw of one request. */
export interface Seen {
  /** 0 when no answer came. */
  status: number
  requestId: string
  /** Frames that brought output. */
  deltas: number
  text: string
  /** Tokens as the answer's log probabilities count them, where they were asked for. */
  tokens: number
  finishReason: string | null
  usage: { prompt_tokens: number; completion_tokens: number; estimated_cost: number; notice?: string } | null
  /** `data: [DONE]` came. */
  done: boolean
  /** Of an error answer, or of an error frame. */
  error: { message: string; code: string } | null
  /** The connection broke before the answer ended. */
  broken: boolean
}

/** Sends a chat completion and reads its answer, streamed unless `body` says otherwise. `onDelta` is told of each frame with output. */
export async function chat(
  server: { readonly url: string; readonly key: string },
  body: object,
  onDelta: (seen: Seen) => void = () => {},
): Promise<Seen> {
  const seen: Seen = {
    status: 0,
    requestId: '',
    deltas: 0,
    text: '',
    tokens: 0,
    finishReason: null,
    usage: null,
    done: false,
    error: null,
    broken: false,
  }
  try {
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'Hello' }], ...body }),
    })
    seen.status = response.status
    seen.requestId = response.headers.get('x-request-id') ?? ''
    if (response.headers.get('content-type')?.startsWith('text/event-stream') !== true) {
      take(seen, JSON.parse(await response.text()), onDelta)
      return seen
    }
    let rest = ''
    const decoder = new TextDecoder()
    for await (const bytes of response.body as ReadableStream<Uint8Array>) {
      const frames = (rest + decoder.decode(bytes, { stream: true })).split('\n\n')
      rest = frames.pop() ?? ''
      for (const frame of frames) {
        if (!frame.startsWith('data: ')) continue
        if (frame === 'data: [DONE]') seen.done = true
        else take(seen, JSON.parse(frame.slice('data: '.length)), onDelta)
      }
    }
  } catch (error) {
    // What `fetch` makes of a connection that broke; anything else is a mistake of the test, or an answer that is no JSON.
    if (!(error instanceof TypeError)) throw error
    seen.broken = true
  }
  return seen
}

interface Part {
  readonly content?: string | null
  readonly reasoning_content?: string | null
}

interface Document {
  readonly choices?: readonly {
    readonly delta?: Part
    readonly message?: Part
    readonly finish_reason?: string | null
    readonly logprobs?: { readonly content?: readonly unknown[] | null } | null
  }[]
  readonly usage?: Seen['usage']
  readonly error?: Seen['error']
}

function take(seen: Seen, document: Document, onDelta: (seen: Seen) => void): void {
  if (document.error) seen.error = document.error
  if (document.usage) seen.usage = document.usage
  for (const choice of document.choices ?? []) {
    const part = choice.delta ?? choice.message
    const text = (part?.content ?? '') + (part?.reasoning_content ?? '')
    seen.text += text
    seen.tokens += choice.logprobs?.content?.length ?? 0
    seen.finishReason = choice.finish_reason ?? seen.finishReason
    if (text === '') continue
    seen.deltas++
    onDelta(seen)
  }
}
