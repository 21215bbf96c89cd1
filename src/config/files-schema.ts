import { z } from 'zod'

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB

/** The section `files`. */
export const files = z.strictObject({
  bytesMax: z
    .int()
    .min(KIB)
    .max(64 * GIB)
    .default(512 * MIB)
    .meta({ description: 'Largest file that a client may upload.', unit: 'bytes' }),
  totalBytesMaxPerOrg: z
    .int()
    .min(KIB)
    .max(1_024 * 1_024 * GIB)
    .default(10 * GIB)
    .meta({
      description:
        'Most that the files of one org may take together, the inputs of its unfinished batches counted once more; an upload beyond it is refused.',
      unit: 'bytes',
    }),
  keepDays: z.int().min(1).max(3_650).nullable().default(30).meta({
    description: 'How long a file is kept that names no time of its own; null: until it is deleted.',
    unit: 'days',
    allowed: 'a whole number from 1 to 3650, or null',
  }),
})

/** The section `batches`. */
export const batches = z.strictObject({
  concurrency: z.int().min(1).max(1_024).default(2).meta({
    description:
      'Lines of batches that run at a time, of all orgs together. Few, so that those who wait for an answer hardly notice; more where upstreams have room.',
    unit: 'lines',
  }),
  openMaxPerOrg: z
    .int()
    .min(1)
    .max(10_000)
    .default(50)
    .meta({ description: 'Unfinished batches that one org may have.', unit: 'batches' }),
})
