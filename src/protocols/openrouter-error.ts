import type { ApiError, ErrorCode } from '../errors.ts'

/** OpenRouter's words (`ApiErrorType` of its SDK, and what its error pages add) for ours, where those differ. */
const TYPES: Partial<Record<ErrorCode, string>> = {
  invalid_json: 'invalid_request',
  invalid_value: 'invalid_request',
  missing_required_parameter: 'invalid_request',
  unsupported_parameter: 'invalid_request',
  upstream_rejected: 'invalid_request',
  invalid_api_key: 'authentication',
  revoked_api_key: 'authentication',
  insufficient_balance: 'weight_exceeds_budget',
  balance_held: 'in_flight_budget_exhausted',
  budget_exceeded: 'payment_required',
  key_cap_exceeded: 'payment_required',
  org_disabled: 'permission_denied',
  forbidden_host: 'permission_denied',
  model_not_found: 'not_found',
  request_not_found: 'not_found',
  request_timeout: 'timeout',
  request_too_large: 'payload_too_large',
  idempotency_key_reused: 'unprocessable',
  engine_overloaded: 'provider_overloaded',
  upstream_error: 'provider_unavailable',
  no_matching_upstream: 'provider_unavailable',
  model_unavailable: 'provider_unavailable',
  model_price_missing: 'provider_unavailable',
  upstream_timeout: 'timeout',
  server_error: 'server',
  settlement_unavailable: 'server',
  draining: 'provider_overloaded',
}

/** Whose money was too little: `metadata.limit_source` of a 402. */
const LIMIT_SOURCES: Partial<Record<ErrorCode, string>> = {
  insufficient_balance: 'openrouter_credits',
  balance_held: 'openrouter_in_flight_budget',
  budget_exceeded: 'openrouter_guardrail_budget',
  key_cap_exceeded: 'openrouter_key_limit',
}

/** The value of `error` as OpenRouter's clients read it: `code` is the HTTP status, `metadata.error_type` one of its words. */
export function openRouterError(error: ApiError): object {
  const source = LIMIT_SOURCES[error.code]
  return {
    code: error.status,
    message: error.message,
    metadata: {
      error_type: TYPES[error.code] ?? error.code,
      error_code: error.code,
      ...(source !== undefined && { limit_source: source }),
      ...(error.param !== null && { param: error.param }),
    },
  }
}
