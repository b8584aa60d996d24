/** Requests of the flow editor. Documents are read and written as text, so that each number keeps its notation. */

import { queryOptions } from '@tanstack/react-query';

import { isObject, type JsonObject, parse, write } from '../drafts/json';
import { api, type Schemas } from './client';
import { ApiError, dataOf } from './errors';

/** The body of a request: the document as it is. The generated types describe what a browser's JSON can hold. */
const asBody = (document: JsonObject) => ({
  body: document as unknown as Schemas['FlowInput'],
  bodySerializer: () => write(document),
});

function readObject(call: string, content: string): JsonObject {
  const value = parse(content);
  if (isObject(value)) return value;
  throw new ApiError({ status: 0, call, message: `${call} did not answer with a JSON object.` });
}

/** The document of a flow, with every key and number as it is stored. */
export const documentQuery = (flowId: string) =>
  queryOptions({
    queryKey: ['flow', flowId, 'document'],
    queryFn: ({ signal }) => readDocument(flowId, signal),
    // Sharing copies objects, and a copy of a number that is kept as its source text is no number.
    structuralSharing: false,
  });

export async function readDocument(flowId: string, signal?: AbortSignal): Promise<JsonObject> {
  const call = `GET /automation/v4/flows/${flowId}`;
  const request = api.GET('/automation/v4/flows/{flowId}', {
    params: { path: { flowId } },
    parseAs: 'text',
    ...(signal === undefined ? {} : { signal }),
  });
  return readObject(call, await dataOf(call, request));
}

/** The document of a revision. Null: the revision is a deletion. */
export async function readRevision(flowId: string, revisionId: string): Promise<JsonObject | null> {
  const call = `GET /enrollment/v1/flows/${flowId}/revisions/${revisionId}`;
  const request = api.GET('/enrollment/v1/flows/{flowId}/revisions/{revisionId}', {
    params: { path: { flowId, revisionId } },
    parseAs: 'text',
  });
  const { flow } = readObject(call, await dataOf(call, request));
  return isObject(flow) ? flow : null;
}

/**
 * Store a draft. Without `flowId`, it becomes a new flow. Throws ApiError: 400 with the faults; 409 if someone else stored
 * a revision meanwhile, or if triggers would be lost and `replaceTriggers` is false.
 */
export async function saveDocument(
  flowId: string | null,
  document: JsonObject,
  replaceTriggers: boolean,
): Promise<JsonObject> {
  if (flowId === null) {
    const call = 'POST /automation/v4/flows';
    const request = api.POST('/automation/v4/flows', { ...asBody(document), parseAs: 'text' });
    return readObject(call, await dataOf(call, request));
  }
  const call = `PUT /automation/v4/flows/${flowId}`;
  const request = api.PUT('/automation/v4/flows/{flowId}', {
    ...asBody(document),
    params: { path: { flowId }, query: replaceTriggers ? { replaceTriggers: true } : {} },
    parseAs: 'text',
  });
  return readObject(call, await dataOf(call, request));
}

/** The description and the warnings of a draft. Throws ApiError with the faults. */
export const checkDocument = (document: JsonObject, signal: AbortSignal): Promise<Schemas['FlowCheck']> =>
  dataOf('POST /enrollment/v1/flows/check', api.POST('/enrollment/v1/flows/check', { ...asBody(document), signal }));

export type Impact = Schemas['ImpactPage'];
export type ImpactEvent = Impact['results'][number];

/** The id of a flow that has none yet. No flow has been saved under it, so each enrollment is gained. */
const UNSAVED = 'draft of a new flow';

const EVENTS_A_PAGE = 100;

/** What a draft decides on past events, and what the saved revision decides: a hundred events at a time. */
export const readImpact = (
  document: JsonObject,
  page: { since: string; after: string | undefined },
  signal: AbortSignal,
): Promise<Impact> =>
  dataOf(
    'POST /enrollment/v1/impact',
    api.POST('/enrollment/v1/impact', {
      body: { flow: asBody(document).body, limit: EVENTS_A_PAGE },
      bodySerializer: () =>
        write({
          flow: { id: UNSAVED, ...document },
          since: page.since,
          limit: EVENTS_A_PAGE,
          ...(page.after === undefined ? {} : { after: page.after }),
        }),
      signal,
    }),
  );

/** A property of records, in HubSpot's shape. */
export interface RecordProperty {
  readonly name: string;
  readonly label: string;
  readonly type: string;
  readonly options: readonly { readonly value: string; readonly label: string }[];
  readonly operations: readonly { readonly operationType: string; readonly operators: readonly string[] }[];
}

/** Who stored the newest revision of a flow; null: not known. */
export async function newestAuthor(flowId: string): Promise<string | null> {
  const page = await dataOf(
    `GET /enrollment/v1/flows/${flowId}/revisions`,
    api.GET('/enrollment/v1/flows/{flowId}/revisions', { params: { path: { flowId }, query: { limit: 1 } } }),
  );
  return page.results[0]?.changedBy ?? null;
}
