import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OutsideClient } from '../egress/outside-client.ts'
import { OutsideFailure } from '../egress/outside-failure.ts'
import type { JsonObject } from '../inference/request.ts'
import { OPENAI_CHAT } from '../protocols/openai-chat/codec.ts'
import { decodeNow } from '../protocols/testing.ts'
import { ByteRoom } from '../std/byte-room.ts'
import { withImages } from './fetch-images.ts'

const BYTES: Readonly<Record<string, Buffer>> = {
  png: Buffer.from('89504e470d0a1a0a00', 'hex'),
  jpeg: Buffer.from('ffd8ffe0', 'hex'),
  gif: Buffer.from('GIF89a...'),
  webp: Buffer.from('RIFF\n\n\n\nWEBP'),
  html: Buffer.from('<html>'),
}

/** Hosts that have the image of their name; `large` has one that leaves room for no second. */
function outsideOf(asked: string[] = []): Pick<OutsideClient, 'fetch'> {
  return {
    async fetch(url, { payer, signal, accepts }) {
      asked.push(url)
      assert.equal(payer, 'org')
      assert.ok(accepts('image/png') && accepts('application/octet-stream') && accepts('') && !accepts('text/html'))
      const name = new URL(url).hostname
      if (name === 'never') {
        return await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
      }
      if (name === 'large')
        return { mediaType: '', bytes: Buffer.concat([BYTES.png as Buffer, Buffer.alloc(17 << 20)]) }
      const bytes = BYTES[name]
      if (bytes === undefined) throw new OutsideFailure('refused', `${name} is not a public address.`)
      return { mediaType: 'application/octet-stream', bytes }
    },
  }
}

const fetchingOf = (asked?: string[], bytes = 1 << 30) => ({ outside: outsideOf(asked), room: new ByteRoom(bytes) })

const image = (url: string) => ({ type: 'image_url', image_url: { url, detail: 'low' }, cache_control: {} })
const requestWith = (...content: readonly JsonObject[]) =>
  decodeNow(
    OPENAI_CHAT,
    {
      model: 'm',
      extra: 1,
      messages: [
        { role: 'system', content: 's' },
        { role: 'user', name: 'n', content },
      ],
    },
    'req_1',
  )
const NEVER = new AbortController().signal

test('images stand in the place of their URLs, all else as it was', async () => {
  const asked: string[] = []
  const text = { type: 'text', text: 'http://png/' }
  const data = image('data:image/png;base64,iVBO')
  const request = requestWith(text, image('http://png/a'), image('https://jpeg/b'), data, image('http://png/a'))
  const {
    request: { input, body },
  } = await withImages(request, fetchingOf(asked), 'org', NEVER)
  const url = (type: string) => `data:image/${type};base64,${BYTES[type]?.toString('base64')}`
  const messages = [
    { role: 'system', content: 's' },
    { role: 'user', name: 'n', content: [text, image(url('png')), image(url('jpeg')), data, image(url('png'))] },
  ]
  assert.deepEqual(input.kind === 'chat' && input.messages, messages)
  assert.deepEqual(body, { model: 'm', extra: 1, messages })
  assert.deepEqual(asked.sort(), ['http://png/a', 'https://jpeg/b'], 'each is fetched once')
})

test('the type is that of the bytes', async () => {
  for (const type of ['gif', 'webp']) {
    const { request } = await withImages(requestWith(image(`http://${type}/`)), fetchingOf(), 'org', NEVER)
    assert.match(JSON.stringify(request.body), new RegExp(`data:image/${type};base64,`))
  }
})

test('an image that cannot be had is named, and ends the fetching of the others', async () => {
  const check = (parts: readonly JsonObject[], param: string, message: RegExp) =>
    assert.rejects(withImages(requestWith(...parts), fetchingOf(), 'org', NEVER), (error: JsonObject) => {
      assert.deepEqual([error.code, error.param], ['invalid_value', param])
      assert.match(String(error.message), message)
      return true
    })
  const second = 'messages[1].content[1].image_url.url'
  await check([image('http://never/'), image('http://inside/')], second, /inside is not a public address/)
  await check([image('http://png/'), image('http://html/')], second, /no PNG, JPEG, GIF or WebP/)
  await check([image('http://large/1'), image('http://large/2')], 'messages', /33554432 bytes together/)
  await check([image('http://large/1'), image('http://large/1')], 'messages', /33554432 bytes together/)
  const many = Array.from({ length: 21 }, (_, i) => image(`http://png/${i}`))
  await check(many, 'messages', /At most 20 images/)
})

test('a client that leaves ends it', async () => {
  const leaving = new AbortController()
  const fetched = withImages(requestWith(image('http://never/')), fetchingOf(), 'org', leaving.signal)
  leaving.abort(new Error('gone'))
  await assert.rejects(fetched, /gone/)
})

test('the images of all running requests share one room, which each gives back once', async () => {
  const fetching = fetchingOf([], 20)
  const fetch = (...urls: string[]) => withImages(requestWith(...urls.map(image)), fetching, 'org', NEVER)
  // 9 bytes each.
  const first = await fetch('http://png/')
  await assert.rejects(fetch('http://png/1', 'http://png/2'), { code: 'engine_overloaded' })
  const second = await fetch('http://png/1')
  await assert.rejects(fetch('http://png/'), { code: 'engine_overloaded' })
  await assert.rejects(fetch('http://inside/', 'http://gif/'), { code: 'invalid_value' })
  first.release()
  first.release()
  second.release()
  await assert.rejects(fetch('http://png/1', 'http://png/2', 'http://png/3'), { code: 'engine_overloaded' })
  assert.ok(fetching.room.take(20) && !fetching.room.take(1))
})
