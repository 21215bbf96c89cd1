/**
 * Every error that a client of the data or control plane can get, in one table: its HTTP status, the `type` and `code`
 * of OpenAI's error body, whether the same request may succeed when repeated, and a cure in one line.
 * `docs/reference/errors.md` is generated from it.
 */
interface ErrorRow {
  readonly status: number
  readonly type: string
  /** Whether a client should retry; sent as `x-should-retry`, which OpenAI's and Anthropic's SDKs obey. */
  readonly retryable: boolean
  readonly cure: string
}

// biome-ignore format: a table reads as a table, a row a line.
export const ERRORS = {
  invalid_request: row(400, 'invalid_request_error', false, 'Send whole HTTP/1.1 requests.'),
  invalid_json: row(400, 'invalid_request_error', false, 'Send one JSON object in UTF-8.'),
  invalid_signature: row(400, 'invalid_request_error', false, 'Send the event unchanged, at once, signed with the secret that the server has.'),
  invalid_value: row(400, 'invalid_request_error', false, 'Correct the named parameter.'),
  missing_required_parameter: row(400, 'invalid_request_error', false, 'Add the named parameter.'),
  unsupported_parameter: row(400, 'invalid_request_error', false, 'Leave the named parameter out, or use a model that supports it.'),
  context_length_exceeded: row(400, 'invalid_request_error', false, 'Shorten the messages or use a model with a longer context.'),
  previous_response_not_found: row(400, 'invalid_request_error', false, 'Send the whole conversation as input, or name a response that is kept.'),
  upstream_rejected: row(400, 'invalid_request_error', false, 'The model server refused the request; its message says why.'),
  invalid_api_key: row(401, 'authentication_error', false, 'Send a valid key as "Authorization: Bearer sk-hr-...".'),
  invalid_operator_token: row(401, 'authentication_error', false, 'Send the line in the file operator-token of the home as "Authorization: Bearer ...".'),
  revoked_api_key: row(401, 'authentication_error', false, 'Create a new key (headrace keys create) or token (POST /v1/scoped-jwt).'),
  insufficient_balance: row(402, 'insufficient_quota', false, 'Add credit (headrace credit add) or lower max_tokens.'),
  balance_held: row(402, 'insufficient_quota', false, 'Credit is held by running requests; repeat when they end.'),
  budget_exceeded: row(402, 'insufficient_quota', false, 'The budget is used up until the time in Retry-After, or for good without one; ask the operator to raise it.'),
  key_cap_exceeded: row(402, 'insufficient_quota', false, 'Use another key or token, or raise the cap of this one.'),
  org_disabled: row(403, 'permission_denied', false, 'Ask the operator to enable the organisation.'),
  forbidden_host: row(403, 'permission_denied', false, 'Use a host name listed in server.allowedHosts.'),
  model_not_allowed: row(403, 'permission_denied', false, 'Use a model that the key or token is for; GET /v1/models lists them.'),
  permission_denied: row(403, 'permission_denied', false, 'Use an API key of the organisation that has the right; the message says which.'),
  not_found: row(404, 'not_found_error', false, 'See the API reference for the routes that exist.'),
  model_not_found: row(404, 'invalid_request_error', false, 'GET /v1/models lists the models on offer.'),
  request_not_found: row(404, 'not_found_error', false, 'Use the x-request-id of a request made by the same organisation.'),
  response_not_found: row(404, 'not_found_error', false, 'Use the id of a response or stored completion of the same organisation that is kept yet.'),
  file_not_found: row(404, 'not_found_error', false, 'GET /v1/files lists the files of the organisation.'),
  batch_not_found: row(404, 'not_found_error', false, 'GET /v1/batches lists the batches of the organisation.'),
  method_not_allowed: row(405, 'invalid_request_error', false, 'Use the method that the Allow header names.'),
  request_timeout: row(408, 'timeout_error', true, 'Send the body faster.'),
  conflict: row(409, 'conflict_error', false, 'Read the current state and repeat.'),
  idempotency_in_progress: row(409, 'conflict_error', true, 'Repeat after Retry-After; the answer of the first request then comes without a charge.'),
  request_too_large: row(413, 'invalid_request_error', false, 'Send a smaller body; the bound is server.bodyBytesMax.'),
  file_too_large: row(413, 'invalid_request_error', false, 'Split the file; the bound is files.bytesMax.'),
  file_storage_full: row(413, 'invalid_request_error', false, 'Delete files that are not needed any more; the bound is files.totalBytesMaxPerOrg.'),
  unsupported_media_type: row(415, 'invalid_request_error', false, 'Send "Content-Type: application/json".'),
  idempotency_key_reused: row(422, 'invalid_request_error', false, 'Use a new Idempotency-Key for each request, and the same only for the same bytes.'),
  request_headers_too_large: row(431, 'invalid_request_error', false, 'Send shorter headers; the bound is server.headerBytesMax.'),
  rate_limit_exceeded: row(429, 'rate_limit_error', true, 'Wait for the time in Retry-After.'),
  too_many_batches: row(429, 'rate_limit_error', false, 'Wait until a batch ends, or cancel one; the bound is batches.openMaxPerOrg.'),
  engine_overloaded: row(429, 'rate_limit_error', true, 'All slots and the queue are full; repeat after Retry-After.'),
  server_error: row(500, 'server_error', true, 'Report the x-request-id to the operator.'),
  upstream_error: row(502, 'server_error', true, 'The model server failed; repeat the request.'),
  payment_provider_error: row(502, 'server_error', true, 'The provider of payments failed or refused; the message says why.'),
  model_price_missing: row(503, 'server_error', false, 'The operator has to set a price: headrace models price.'),
  no_matching_upstream: row(503, 'server_error', false, 'Relax the preferences in `provider`; the message says what each place lacks.'),
  model_unavailable: row(503, 'server_error', true, 'No place that can run the model is up; the message says why.'),
  settlement_unavailable: row(503, 'server_error', true, 'Charges cannot be written to disk; the operator has to free space.'),
  storage_unavailable: row(503, 'server_error', true, 'The disk is nearly full; the operator has to free space.'),
  draining: row(503, 'server_error', true, 'The server is stopping; repeat after Retry-After.'),
  upstream_timeout: row(504, 'timeout_error', true, 'The model server did not answer in time; repeat the request.'),
} as const satisfies Record<string, ErrorRow>

/** A row's name in the table; the `code` on the wire. */
export type ErrorCode = keyof typeof ERRORS

function row(status: number, type: string, retryable: boolean, cure: string): ErrorRow {
  return { status, type, retryable, cure }
}

/**
 * The longest wait that OpenAI's and Anthropic's SDKs obey; told of a longer one, they repeat after seconds of their own
 * choice, and again, for nothing. Such an answer tells them not to; a program that reads `Retry-After` still knows when.
 */
const OBEYED_WAIT_MS_MAX = 60_000

const NO_HEADERS = Object.freeze({})

/** An error of the table, with what was wrong this time. The message is for the client; it names no secret. */
export class ApiError extends Error {
  override name = 'ApiError'
  readonly code: ErrorCode
  /** The request field at fault, when one is. */
  readonly param: string | null
  /** How long the client should wait, when waiting helps. */
  readonly retryAfterMs: number | null
  /** Headers of the answer beside the usual ones; names in lower case. */
  readonly headers: Readonly<Record<string, string>>

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      param?: string
      retryAfterMs?: number
      headers?: Readonly<Record<string, string>>
      cause?: unknown
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.param = options.param ?? null
    this.retryAfterMs = options.retryAfterMs ?? null
    this.headers = options.headers ?? NO_HEADERS
  }

  get status(): number {
    return ERRORS[this.code].status
  }

  /** Whether to repeat the request at once or after the wait; sent as `x-should-retry`. */
  get retryable(): boolean {
    return ERRORS[this.code].retryable && (this.retryAfterMs ?? 0) <= OBEYED_WAIT_MS_MAX
  }

  /** The body that OpenAI's clients parse: `{"error":{message,type,param,code}}`. */
  toOpenAi(): { error: { message: string; type: string; param: string | null; code: string } } {
    return { error: { message: this.message, type: ERRORS[this.code].type, param: this.param, code: this.code } }
  }
}
