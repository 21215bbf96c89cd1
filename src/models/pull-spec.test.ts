import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { parsePullSpec, sourceLabel, sourceText, suggestedName } from './pull-spec.ts'

test('specs name a source, or say what is allowed', () => {
  const check = (text: string, expected: object) => {
    const spec = parsePullSpec(text, name => name === 'there.gguf')
    assert.deepEqual(JSON.parse(JSON.stringify(spec)), expected)
  }
  check('smollm2', { kind: 'catalogue', id: 'smollm2' })
  check('deepseek-ai/DeepSeek-V4', { kind: 'catalogue', id: 'deepseek-ai/DeepSeek-V4' })
  check('hf:a/b/c.gguf', { kind: 'hf', repository: 'a/b', revision: 'main', file: 'c.gguf' })
  check('hf:a/b-1.5@abc/d/c.gguf', { kind: 'hf', repository: 'a/b-1.5', revision: 'abc', file: 'd/c.gguf' })
  check('https://h/x.gguf', { kind: 'url', url: 'https://h/x.gguf' })
  check('http://127.0.0.1:9/x.gguf', { kind: 'url', url: 'http://127.0.0.1:9/x.gguf' })
  check('/a/b.gguf', { kind: 'path', path: '/a/b.gguf' })
  check('file:///a/b.gguf', { kind: 'path', path: '/a/b.gguf' })
  check('./b.gguf', { kind: 'path', path: path.resolve('b.gguf') })
  check('there.gguf', { kind: 'path', path: path.resolve('there.gguf') })
  check('pypi:a-b==1.0!x/y.gguf', { kind: 'pypi', wheels: [{ package: 'a-b', version: '1.0', member: 'x/y.gguf' }] })
  check('pypi:a,b==2', {
    kind: 'pypi',
    wheels: [
      { package: 'a', version: null, member: null },
      { package: 'b', version: '2', member: null },
    ],
  })

  const refused = (text: string, reason: RegExp) => assert.throws(() => parsePullSpec(text), reason)
  refused('', /nothing was named/)
  refused('http://example.com/x.gguf', /plain http; use https/)
  refused('s3://bucket/x.gguf', /address scheme that is not fetched/)
  refused('hf:org/file.gguf', /not of the form hf:org\/repo\/file\.gguf/)
  refused('hf:a/b/../c.gguf', /not of the form/)
  refused('pypi:--index-url=x', /not of the form package==version/)
  refused('pypi:a b', /not of the form/)
  refused('what is this', /names nothing that can be pulled/)
})

test('labels and catalogue texts tell no secret', () => {
  const signed = parsePullSpec('https://user:word@h/x.gguf?signature=s')
  assert.ok(signed.kind === 'url')
  assert.equal(sourceLabel(signed), 'https://h/x.gguf')
  assert.equal(sourceText(signed), null)
  const wheels = parsePullSpec('pypi:a==1!d/m.gguf.part0,b==1!d/m.gguf.part1')
  assert.ok(wheels.kind === 'pypi')
  assert.equal(sourceText(wheels), 'pypi:a==1!d/m.gguf.part0,b==1!d/m.gguf.part1')
  assert.equal(suggestedName(wheels), 'm.gguf')
})
