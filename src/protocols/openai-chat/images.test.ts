import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../../errors.ts'
import type { JsonObject } from '../../inference/request.ts'
import { decodeChat } from './decode.ts'

const PIXEL = 'data:image/png;base64,iVBORw0KGgo='

function decode(...content: readonly unknown[]) {
  const messages = [{ role: 'user', content }]
  return decodeChat(Buffer.from(JSON.stringify({ model: 'm', messages })), 'req_1')
}

const image = (url: unknown, more: JsonObject = {}) => ({ type: 'image_url', image_url: { url, ...more } })

test('images come by address or by themselves', () => {
  const parts = [
    { type: 'text', text: 'What is this?' },
    image('https://example.com/a.png', { detail: 'low' }),
    image('HTTP://example.com/a.png'),
    image(PIXEL),
    image('data:image/JPEG;base64,/9j/'),
    image('data:image/webp;base64,AAAA'),
    image('data:image/gif;base64,AAAA'),
  ]
  const { input } = decode(...parts)
  assert.deepEqual(input.kind === 'chat' && input.messages[0]?.content, parts)
})

test('what is no image is refused by the name of its place', () => {
  const check = (part: unknown, code: string, param: string) =>
    assert.throws(
      () => decode({ type: 'text', text: 'x' }, part),
      (error: unknown) => error instanceof ApiError && error.code === code && error.param === param,
      JSON.stringify(part),
    )
  const at = 'messages[0].content[1]'
  check({ type: 'image_url' }, 'missing_required_parameter', `${at}.image_url`)
  check({ type: 'image_url', image_url: PIXEL }, 'invalid_value', `${at}.image_url`)
  check({ type: 'image_url', image_url: {} }, 'missing_required_parameter', `${at}.image_url.url`)
  check(image(1), 'invalid_value', `${at}.image_url.url`)
  check(image('file:///etc/passwd'), 'invalid_value', `${at}.image_url.url`)
  check(image('http://'), 'invalid_value', `${at}.image_url.url`)
  check(image('data:text/html;base64,AAAA'), 'invalid_value', `${at}.image_url.url`)
  check(image('data:image/svg+xml;base64,AAAA'), 'invalid_value', `${at}.image_url.url`)
  check(image('data:image/png,AAAA'), 'invalid_value', `${at}.image_url.url`)
  check(image('data:image/png;base64,'), 'invalid_value', `${at}.image_url.url`)
  check(image(`data:image/png;base64,${'A'.repeat(28 * 1024 * 1024)}`), 'invalid_value', `${at}.image_url.url`)
})

test('other kinds of parts are named', () => {
  const check = (part: JsonObject) =>
    assert.throws(() => decode(part), {
      code: 'unsupported_parameter',
      param: 'messages[0].content[0]',
      message: `'messages[0].content[0]' is a part of the type "${part.type}"; text and image_url are supported.`,
    })
  check({ type: 'input_audio', input_audio: { data: '', format: 'wav' } })
  check({ type: 'file', file: { file_id: 'file_1' } })
  check({ type: 'video_url', video_url: { url: 'https://example.com/a.mp4' } })
})

test('an image counts as what models make of it at most, and its bytes not as text', () => {
  const bound = (...content: readonly unknown[]) => decode(...content).inputTokensBound
  const withoutIt = bound(image('https://example.com/a.png')) - 16_384
  const huge = `data:image/png;base64,${'A'.repeat(1_000_000)}`
  const around = bound(image(huge)) - 16_384
  assert.ok(around > 0 && around < 1_000, `${around} beside the image`)
  assert.equal(bound(image(huge), image(huge)) - bound(image(huge)), 16_384 + JSON.stringify(image('')).length + 1)
  assert.ok(withoutIt > 'https://example.com/a.png'.length)
})
