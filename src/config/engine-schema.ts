import { z } from 'zod'
import {
  about,
  autoOr,
  bytes,
  count,
  DAY_MS,
  flag,
  GIB,
  MIB,
  MINUTE_MS,
  milliseconds,
  modelId,
  pathOrNull,
} from './setting-kinds.ts'

/** The section `engine`. */
export const engine = z.strictObject({
  threads: autoOr(
    1,
    1_024,
    'Threads that all embedded models share; auto: the cores, less one for the gateway where there are more than two. More than the cores would make it many times slower.',
  ),
  parallel: count(4, 1, 256, 'Requests that one model works on at a time.', 'slots'),
  queueDepthMax: count(
    256,
    0,
    1_048_576,
    'Most requests that wait for a slot of one model; beyond it they are refused with 429.',
  ),
  contextTokens: autoOr(
    256,
    16_777_216,
    "Context of one slot; auto: the model's own, or less where memory is short.",
    'tokens',
  ),
  memoryBytesMax: autoOr(
    64 * MIB,
    1_024 * GIB,
    'Memory that all embedded models may take; auto: what is free. A model that does not fit is refused before it loads.',
    'bytes',
  ),
  promptCacheBytesMax: bytes(
    512 * MIB,
    0,
    1_024 * GIB,
    'Most that stored prompt states may take; 0 turns the prompt cache off.',
  ),
  promptCacheDir: z
    .string()
    .min(1)
    .default('auto')
    .meta(
      about(
        'Folder for stored prompt states; auto: in memory where there is a memory-backed folder with room, else in the home.',
        { path: true, allowed: 'auto, or a path' },
      ),
    ),
  idleUnloadMs: milliseconds(
    30 * MINUTE_MS,
    0,
    7 * DAY_MS,
    'A model unused for so long gives its memory back; 0: only when another model needs it.',
  ),
  variant: z
    .enum(['default', 'cuda', 'vulkan'])
    .default('default')
    .meta(about('Build of the engine: CPU (with Metal on a Mac), CUDA or Vulkan.')),
  libraryDir: pathOrNull(
    'Folder that holds node_modules with another build of the engine, for GPU builds; null: the one that came along.',
  ),
})

/** The section `models`. */
export const models = z.strictObject({
  default: modelId
    .nullable()
    .default('smollm2-135m-instruct')
    .meta(
      about('Catalogue id of the model that the first start fetches; null: none.', { allowed: 'a model id, or null' }),
    ),
  autoPull: flag(true, 'Fetch the default model when it is not there yet.'),
  catalogueFile: pathOrNull(
    'Catalogue to lay over the one that came along; null: catalogue.yaml in the home, if it is there.',
  ),
})
