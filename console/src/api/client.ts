/** The HTTP API, typed by docs/openapi.json. `npm run types` generates `schema.d.ts`, which is not committed. */

import createClient from 'openapi-fetch';

import type { components, paths } from './schema';

export type Schemas = components['schemas'];

export const PORTAL_HEADER = 'X-Portal-Id';

let portalId = '';

/** Set the portal that all later requests name. */
export function setPortalId(id: string): void {
  portalId = id;
}

export const api = createClient<paths>({
  baseUrl: globalThis.location.origin,
  // Looked up at each request, so that a test can replace it.
  fetch: (request) => globalThis.fetch(request),
});

api.use({
  onRequest({ request }) {
    if (portalId !== '') request.headers.set(PORTAL_HEADER, portalId);
    return request;
  },
});
