import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HttpMessages, type MessageHead } from './http-messages.ts'

/** What is found in bytes, a line a message: its first line, its body. Cut anywhere, the same is found. */
function check(kind: 'request' | 'response', text: string, found: readonly string[]): void {
  const bytes = Buffer.from(text)
  for (let cut = 0; cut <= bytes.length; cut++) {
    const messages: string[] = []
    let head: MessageHead | undefined
    let body = ''
    const reader = new HttpMessages(
      kind,
      {
        head(each) {
          head = each
          body = ''
        },
        body(each) {
          body += each.toString()
        },
        end: () => void messages.push(`${head?.line} [${body}]`),
      },
      each => each.line.includes(' 204 '),
    )
    reader.push(bytes.subarray(0, cut))
    reader.push(bytes.subarray(cut))
    reader.close()
    assert.deepEqual(messages, found, `cut at ${cut}`)
  }
}

test('requests of one connection, with a length, in chunks and without a body', () => {
  check(
    'request',
    'POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello' +
      'POST /b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n' +
      'GET /c HTTP/1.1\r\nhost: x\r\n\r\nPOST /d HTTP/1.1\r\ncontent-length: 0\r\n\r\n',
    ['POST /a HTTP/1.1 [hello]', 'POST /b HTTP/1.1 [abc0123456789]', 'GET /c HTTP/1.1 []', 'POST /d HTTP/1.1 []'],
  )
})

test('answers: announced, without a body, in chunks with trailers, to the end of the connection', () => {
  check(
    'response',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-a: b\r\n\r\n' +
      'HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\nto the end',
    ['HTTP/1.1 200 OK [hi]', 'HTTP/1.1 204 No Content []', 'HTTP/1.1 200 OK [to the end]'],
  )
})
