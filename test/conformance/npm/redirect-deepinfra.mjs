/**
 * Loaded before clients whose addresses are written into their code: what they send to api.deepinfra.com goes to the server
 * under test. Nothing else about them changes.
 */
const HOST = 'https://api.deepinfra.com/'
const { url } = JSON.parse(process.env.HEADRACE_WORLD ?? '{}')
const { fetch } = globalThis

globalThis.fetch = (resource, init) =>
  fetch(
    typeof resource === 'string' && resource.startsWith(HOST) ? `${url}/${resource.slice(HOST.length)}` : resource,
    init,
  )
