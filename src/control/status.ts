import { createRoute, z } from '@hono/zod-openapi'
import { priceAt } from '../pricing/calendar.ts'
import { answers, type Control, type ControlApp } from './control-context.ts'
import { formatTime, TimeOut } from './fields.ts'
import type { RuntimeStatus } from './ports.ts'
import { modelsOf } from './snapshot-builder.ts'

/** How the server does. */
export const StatusBody = z
  .object({
    version: z.string(),
    started_at: TimeOut,
    uptime_s: z.number().openapi({ description: 'Seconds.' }),
    listening: z
      .array(z.string())
      .openapi({ description: 'Addresses that accept clients; empty when no server runs.' }),
    snapshot_version: z.int().openapi({ description: 'Counts the changes that the data plane took over.' }),
    open_holds: z.int(),
    journal: z.object({ healthy: z.boolean(), detail: z.string() }),
    models: z.array(
      z.object({
        id: z.string(),
        state: z.enum(['ready', 'no_price', 'unavailable']),
        detail: z.string().openapi({ description: 'Why it is not ready; empty when it is.' }),
        upstreams: z.array(z.string()),
      }),
    ),
    upstreams: z.array(
      z.object({
        id: z.string(),
        kind: z.string(),
        state: z.string(),
        detail: z.string(),
        running: z.int(),
        queued: z.int(),
      }),
    ),
  })
  .openapi('Status')

/** GET /status. */
export function statusRoutes(app: ControlApp, control: Control): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/status',
      operationId: 'getStatus',
      summary: 'Tell how the server does',
      responses: answers(200, 'The status.', StatusBody),
    }),
    context => context.json(statusBody(control), 200),
  )
}

function statusBody(control: Control): z.infer<typeof StatusBody> {
  const runtime = control.status()
  const nowMs = control.clock.nowMs()
  return {
    version: runtime.version,
    started_at: formatTime(runtime.startedMs),
    uptime_s: Math.max(0, Math.floor((nowMs - runtime.startedMs) / 1000)),
    listening: [...runtime.listening],
    snapshot_version: control.snapshot().version,
    open_holds: control.books?.openHolds ?? 0,
    journal: { ...runtime.journal },
    models: modelStates(control, runtime, nowMs),
    upstreams: runtime.upstreams.map(({ id, kind, state, detail, running, queued }) => ({
      id,
      kind,
      state,
      detail,
      running,
      queued,
    })),
  }
}

function modelStates(control: Control, runtime: RuntimeStatus, nowMs: number): z.infer<typeof StatusBody>['models'] {
  const upstreams = new Map(runtime.upstreams.map(upstream => [upstream.id, upstream]))
  return modelsOf(control.snapshot()).map(model => {
    const ids = model.targets.map(target => target.upstreamId)
    const unusable = model.targets
      .filter(target => upstreams.get(target.upstreamId)?.downModels.includes(target.upstreamModel) ?? true)
      .map(target => target.upstreamId)
    const base = { id: model.id, upstreams: ids }
    if (runtime.listening.length === 0 && upstreams.size === 0) {
      return { ...base, state: 'unavailable' as const, detail: 'No server runs. Start one: headrace serve.' }
    }
    if (unusable.length === ids.length) {
      const reasons = unusable.map(
        id => `${id}: ${upstreams.get(id)?.detail || upstreams.get(id)?.state || 'unknown here'}`,
      )
      return { ...base, state: 'unavailable' as const, detail: reasons.join('; ') || 'It has no target.' }
    }
    if (priceAt(model.prices, nowMs) === undefined) {
      return {
        ...base,
        state: 'no_price' as const,
        detail: 'It has no price in force. Set one: headrace models price.',
      }
    }
    return { ...base, state: 'ready' as const, detail: '' }
  })
}
