import { createRoute, z } from '@hono/zod-openapi'
import type { BatchUsage } from '../batches/batch.ts'
import type { BatchView } from '../batches/batches.ts'
import { BATCH_PATHS } from '../batches/endpoints.ts'
import { answers, type ClientApiDeps, type ClientApp, jsonBody, OPENAI_BASES } from './context.ts'
import { ExpiresAfter } from './files.ts'
import { listOf, listQuery, readPage } from './list-page.ts'

const METADATA_MAX = 16

const Metadata = z
  .record(z.string().max(64), z.string().max(512))
  .refine(pairs => Object.keys(pairs).length <= METADATA_MAX, `has to have at most ${METADATA_MAX} entries`)

const CreateBatch = z
  .looseObject({
    input_file_id: z.string().min(1).max(255).openapi({ description: 'A file of the purpose "batch".' }),
    endpoint: z
      .string()
      .max(128)
      .openapi({ description: `What every line asks for: one of ${BATCH_PATHS.join(', ')}.` }),
    completion_window: z.literal('24h'),
    metadata: Metadata.nullish(),
    output_expires_after: ExpiresAfter.nullish(),
  })
  .openapi('CreateBatch')

const seconds = z.int().nullable()

const BatchObject = z
  .object({
    id: z.string(),
    object: z.literal('batch'),
    endpoint: z.string(),
    model: z.string().optional().openapi({ description: 'The model of all lines, when they name one alone.' }),
    errors: z
      .object({
        object: z.literal('list'),
        data: z.array(
          z.object({
            code: z.string(),
            message: z.string(),
            param: z.string().nullable(),
            line: z.int().nullable().openapi({ description: 'Of the input file, counted from 1.' }),
          }),
        ),
      })
      .nullable(),
    input_file_id: z.string(),
    completion_window: z.literal('24h'),
    status: z.enum([
      'validating',
      'failed',
      'in_progress',
      'finalizing',
      'completed',
      'expired',
      'cancelling',
      'cancelled',
    ]),
    output_file_id: z.string().nullable(),
    error_file_id: z.string().nullable(),
    created_at: z.int(),
    in_progress_at: seconds,
    expires_at: z.int(),
    finalizing_at: seconds,
    completed_at: seconds,
    failed_at: seconds,
    expired_at: seconds,
    cancelling_at: seconds,
    cancelled_at: seconds,
    request_counts: z.object({ total: z.int(), completed: z.int(), failed: z.int() }),
    metadata: z.record(z.string(), z.string()).nullable(),
    usage: z
      .object({
        input_tokens: z.int(),
        input_tokens_details: z.object({ cached_tokens: z.int() }),
        output_tokens: z.int(),
        output_tokens_details: z.object({ reasoning_tokens: z.int() }),
        total_tokens: z.int(),
      })
      .optional()
      .openapi({ description: 'Of all completed lines, once the files are made.' }),
    waiting: z
      .object({ code: z.string(), message: z.string(), since: z.int() })
      .optional()
      .openapi({ description: 'Why no line comes through at the moment, such as want of credit.' }),
  })
  .openapi('Batch')

const BatchId = z.object({ batch: z.string() })

/** Batches: files of requests, run when there is room, at the price of batches. */
export function batchesRoutes(app: ClientApp, deps: ClientApiDeps): void {
  const { batches } = deps
  for (const base of OPENAI_BASES) {
    app.openapi(
      createRoute({
        tags: ['Batches'],
        method: 'post',
        path: `${base}/batches`,
        summary: 'Hand in a batch',
        request: { body: jsonBody(CreateBatch) },
        responses: answers('The batch, which is checked first.', BatchObject),
      }),
      async context => {
        const { input_file_id, endpoint, metadata, output_expires_after } = context.req.valid('json')
        const { org, key } = context.var.caller
        const view = await batches.create(
          { orgId: org.id, keyId: key.id },
          {
            ...{ endpoint, inputFileId: input_file_id, metadata: metadata ?? null },
            outputExpiresAfterS: output_expires_after?.seconds ?? null,
          },
        )
        return context.json(batchObject(view), 200)
      },
    )
    app.openapi(
      createRoute({
        tags: ['Batches'],
        method: 'get',
        path: `${base}/batches`,
        summary: 'List batches',
        request: { query: listQuery(20, 100) },
        responses: answers('A page of batches.', listOf(BatchObject)),
      }),
      async context => {
        const { id: orgId } = context.var.caller.org
        const page = await readPage(
          context.req.valid('query'),
          page => batches.list(orgId, page),
          batchObject,
          id => batches.find(orgId, id),
        )
        return context.json(page, 200)
      },
    )
    app.openapi(
      createRoute({
        tags: ['Batches'],
        method: 'get',
        path: `${base}/batches/{batch}`,
        summary: 'How far a batch is',
        request: { params: BatchId },
        responses: answers('The batch.', BatchObject),
      }),
      async context =>
        context.json(batchObject(await batches.find(context.var.caller.org.id, context.req.valid('param').batch)), 200),
    )
    app.openapi(
      createRoute({
        tags: ['Batches'],
        method: 'post',
        path: `${base}/batches/{batch}/cancel`,
        summary: 'Cancel a batch; lines that run end',
        request: { params: BatchId },
        responses: answers('The batch.', BatchObject),
      }),
      async context =>
        context.json(
          batchObject(await batches.cancel(context.var.caller.org.id, context.req.valid('param').batch)),
          200,
        ),
    )
  }
}

/** A batch as OpenAI's clients read it. */
export function batchObject({ batch, completed, failed, waiting }: BatchView): z.output<typeof BatchObject> {
  const { id, endpoint, model, errors, inputFileId, status, times, result, metadata } = batch
  return {
    ...{ id, object: 'batch', endpoint },
    ...(model !== null && { model }),
    errors: errors === null ? null : { object: 'list', data: [...errors] },
    ...{ input_file_id: inputFileId, completion_window: '24h', status },
    output_file_id: isOver(status) ? (result?.outputFileId ?? null) : null,
    error_file_id: isOver(status) ? (result?.errorFileId ?? null) : null,
    created_at: secondsOf(batch.createdMs) as number,
    in_progress_at: secondsOf(times.in_progress),
    expires_at: secondsOf(batch.expiresMs) as number,
    finalizing_at: secondsOf(times.finalizing),
    completed_at: secondsOf(times.completed),
    failed_at: secondsOf(times.failed),
    expired_at: secondsOf(times.expired),
    cancelling_at: secondsOf(times.cancelling),
    cancelled_at: secondsOf(times.cancelled),
    request_counts: { total: batch.lines ?? 0, completed, failed },
    metadata: metadata === null ? null : { ...metadata },
    ...(result !== null && { usage: usageObject(result.usage) }),
    ...(waiting !== null && { waiting: { ...waiting.error, since: Math.floor(waiting.sinceMs / 1000) } }),
  }
}

function usageObject({ inputTokens, cachedInputTokens, outputTokens, reasoningTokens }: BatchUsage) {
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: cachedInputTokens },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: inputTokens + outputTokens,
  }
}

// Until then what is left of the single results is still being removed.
function isOver(status: BatchView['batch']['status']): boolean {
  return status === 'completed' || status === 'expired' || status === 'cancelled'
}

function secondsOf(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.floor(ms / 1000)
}
