/** What the screens change. */

import { api, type Schemas } from './client';
import { dataOf } from './errors';
import { type Flow, type Portal, type PortalChange, readFlow } from './queries';

/**
 * Turn a flow on or off: read its document, and store it with the revision that was read. Throws ApiError with status
 * 409 if someone else stored a revision meanwhile.
 */
export async function turnFlow(flowId: string, isEnabled: boolean): Promise<Flow> {
  const flow = await readFlow(flowId);
  return putFlow(flowId, { ...flow, isEnabled });
}

export const putFlow = (flowId: string, flow: Schemas['FlowChange']): Promise<Flow> =>
  dataOf(
    `PUT /automation/v4/flows/${flowId}`,
    api.PUT('/automation/v4/flows/{flowId}', { params: { path: { flowId } }, body: flow }),
  );

/** Store a document as a new flow. The API chooses its id. */
export const createFlow = (flow: Schemas['FlowInput']): Promise<Flow> =>
  dataOf('POST /automation/v4/flows', api.POST('/automation/v4/flows', { body: flow }));

export async function deleteFlow(flowId: string): Promise<void> {
  await dataOf(
    `DELETE /automation/v4/flows/${flowId}`,
    api.DELETE('/automation/v4/flows/{flowId}', { params: { path: { flowId } } }),
  );
}

export const changePortal = (change: PortalChange): Promise<Portal> =>
  dataOf('PATCH /enrollment/v1/portal', api.PATCH('/enrollment/v1/portal', { body: change }));
