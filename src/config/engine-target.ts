/**
 * How a model of the list says that the embedded engine runs it: its target's upstream is `engine:<model id>`, and the
 * name there is that of the file in the models folder.
 */
export function engineTarget(
  modelId: string,
  fileName: string,
): { readonly upstream: string; readonly upstream_model: string } {
  return { upstream: `${ENGINE_PREFIX}${modelId}`, upstream_model: fileName }
}

/** Whether an upstream is an embedded engine. Ids of configured upstreams cannot hold a colon, so they never collide. */
export function isEngineUpstream(upstreamId: string): boolean {
  return upstreamId.startsWith(ENGINE_PREFIX)
}

const ENGINE_PREFIX = 'engine:'
