/**
 * Id of the embedded engine among the upstreams. A model that it runs has a target there under the model's own id, by
 * which the catalogue knows the file.
 */
export const ENGINE_UPSTREAM_ID = 'engine'
