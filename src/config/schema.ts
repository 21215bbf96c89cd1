import { z } from 'zod'
import { billing } from './billing-schema.ts'
import { egress } from './egress-schema.ts'
import { engine, models } from './engine-schema.ts'
import { batches, files } from './files-schema.ts'
import { money } from './money-schema.ts'
import { payments } from './payments-schema.ts'
import { server } from './server-schema.ts'
import { about, bytes, count, flag, GIB, MIB } from './setting-kinds.ts'
import { upstream } from './upstreams-schema.ts'
import { webhooks } from './webhooks-schema.ts'

const responses = z.strictObject({
  keepDays: count(
    30,
    0,
    3_650,
    'How long responses and stored chat completions are kept, with their input, to be read and continued by id. 0: none are; then background responses are refused, and a client that names an earlier response is told that it is not here.',
    'days',
  ),
  bytesMaxPerOrg: bytes(
    GIB,
    MIB,
    1_024 * GIB,
    'Most that the kept responses and stored chat completions of one org may take on the disk, compressed. Beyond it the oldest make room for the new, before they are keepDays old.',
  ),
})

const log = z.strictObject({
  level: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .meta(about('Least severe line that is written.')),
  format: z
    .enum(['auto', 'pretty', 'json'])
    .default('auto')
    .meta(about('Form of a line; auto: pretty on a terminal, else json.')),
})

const telemetry = z.strictObject({
  metrics: flag(true, 'Answer GET /metrics in the Prometheus text format.'),
})

/**
 * The whole configuration, as written in a file; `{}` is valid and means every default. Every setting is declared once: the types, the
 * checks, the environment names, `config.example.yaml` and `docs/reference/config.md` all come from here.
 */
export const configSchema = z.strictObject({
  home: z
    .string()
    .min(1)
    .default('~/.headrace')
    .meta(
      about('Folder of the database, keys, models and sockets of one installation.', { path: true, allowed: 'a path' }),
    ),
  server: server.prefault({}).meta(about('Where and how the API is served.')),
  money: money.prefault({}).meta(about('Credit, and the records of charges.')),
  billing: billing.prefault({}).meta(about('What invoices say beside the charges.')),
  engine: engine.prefault({}).meta(about('The embedded engine (llama.cpp).')),
  models: models.prefault({}).meta(about('Which models are there from the start.')),
  responses: responses.prefault({}).meta(about('What is kept of answers for the clients that got them.')),
  upstreams: z
    .array(upstream)
    .max(1_024)
    .default([])
    .meta(about('Other servers that run models: vLLM, SGLang, providers.')),
  log: log.prefault({}).meta(about('The log, on standard error.')),
  telemetry: telemetry.prefault({}).meta(about('What can be measured from outside.')),
  payments: payments.prefault({}).meta(about('How credit is bought.')),
  webhooks,
  egress: egress.prefault({}).meta(about('Requests to URLs that clients supply: images, and webhooks of their own.')),
  files: files
    .prefault({})
    .meta(about('Files that clients upload, and those that batches make; in the folder files of the home.')),
  batches: batches.prefault({}).meta(about('Requests that are handed in by the file and run when there is room.')),
})

/** Recursively read-only. */
export type Frozen<T> = T extends readonly (infer Item)[]
  ? readonly Frozen<Item>[]
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T

/** The configuration in force: checked, complete, paths absolute, frozen. */
export type Config = Frozen<z.output<typeof configSchema>>
