import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refuseOtherKinds } from './file-kind.ts'

test('whatever is not GGUF is refused with what it is', () => {
  const check = (start: string | number[], name: string, reason: RegExp | null) => {
    const bytes = typeof start === 'string' ? Buffer.from(start, 'latin1') : Buffer.from(start)
    if (reason === null) refuseOtherKinds(bytes, name)
    else assert.throws(() => refuseOtherKinds(bytes, name), reason)
  }
  check('GGUF\x03\x00\x00\x00', 'm.gguf', null)
  check('GGUF\x03\x00\x00\x00', 'm-00001-of-00001.gguf', null)
  check('GGUF\x03\x00\x00\x00', 'm-00002-of-00003.gguf', /piece 2 of 3 of a split GGUF/)
  check('', 'm.gguf', /is empty/)
  check([0x40, 1, 0, 0, 0, 0, 0, 0, 0x7b, 0x22], 'model.safetensors', /safetensors/)
  check([0x80, 2, 0x8a, 0x0a], 'model.pt', /Python pickle .* can run code/)
  check('PK\x03\x04....', 'pytorch_model.bin', /PyTorch checkpoint/)
  check('PK\x03\x04....', 'model.zip', /zip archive/)
  check([0x1f, 0x8b, 8], 'm.gguf.gz', /gzip-compressed/)
  check('<!DOCTYPE html><html>', 'm.gguf', /web page/)
  check('{"error":"Repository not found"}', 'm.gguf', /it is JSON/)
  check('version https://git-lfs.github.com/spec/v1\n', 'm.gguf', /Git LFS pointer/)
  check('tjgg\x01\x00', 'm.bin', /GGML, the format before GGUF/)
  check([1, 2, 3, 4, 5], 'm.gguf', /does not start with "GGUF" \(first bytes 01020304\)/)
})
