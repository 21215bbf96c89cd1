import { ApiError } from '../errors.ts'
import type { Caller } from './authenticate.ts'

/** Models that a refusal names; a key may be for hundreds. */
const MODELS_SHOWN_MAX = 10

/** Whether a caller may use a model: both its key and its token may name the only ones. */
export function mayUse({ key, token }: Caller, modelId: string): boolean {
  return isAmong(key.models, modelId) && isAmong(token?.models, modelId)
}

/** @throws ApiError 403 when the caller may not use the model. */
export function refuseOtherModels({ key, token }: Caller, modelId: string): void {
  refuse('API key', key.models, modelId)
  refuse('token', token?.models, modelId)
}

function refuse(what: string, models: readonly string[] | null | undefined, modelId: string): void {
  if (isAmong(models, modelId) || models == null) return
  const shown = models.slice(0, MODELS_SHOWN_MAX).join(', ')
  const more = models.length > MODELS_SHOWN_MAX ? ` and ${models.length - MODELS_SHOWN_MAX} more` : ''
  throw new ApiError('model_not_allowed', `This ${what} may not use ${modelId}; it is for ${shown}${more}.`, {
    param: 'model',
  })
}

function isAmong(models: readonly string[] | null | undefined, modelId: string): boolean {
  return models == null || models.includes(modelId)
}
