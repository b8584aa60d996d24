/** What the screens read. Each query has one key, so that screens share its answer. */

import { infiniteQueryOptions, keepPreviousData, queryOptions } from '@tanstack/react-query';

import { api, type Schemas } from './client';
import { dataOf } from './errors';

export type Portal = Schemas['Portal'];
export type PortalChange = Schemas['PortalInput'];
export type EventType = Schemas['EventType'];
export type Flow = Schemas['Flow'];
export type FlowOverview = Schemas['FlowOverview'];
export type Enrollment = Schemas['Enrollment'];

/** Rows in a page of a list. The list shows a button for the next page. */
export const FLOWS_A_PAGE = 100;
export const ENROLLMENTS_A_PAGE = 25;
export const REVISIONS_A_PAGE = 20;

/** A page of a list that the API pages by `paging.next.after`. */
interface Page {
  paging?: { next: { after: string } };
}

const nextPage = (page: Page): string | undefined => page.paging?.next.after;

/** The parameters of a page. The first page has no `after`. */
const pageOf = (limit: number, after: string | undefined) => ({ limit, ...(after === undefined ? {} : { after }) });

/** The settings of the portal, the caller and its scopes. */
export const portalQuery = () =>
  queryOptions({
    queryKey: ['portal'],
    queryFn: ({ signal }) => dataOf('GET /enrollment/v1/portal', api.GET('/enrollment/v1/portal', { signal })),
    staleTime: 60_000,
  });

/** The catalog of events. It changes only with a new version of Enroll. */
export const eventTypesQuery = () =>
  queryOptions({
    queryKey: ['event-types'],
    queryFn: async ({ signal }) =>
      (await dataOf('GET /enrollment/v1/events', api.GET('/enrollment/v1/events', { signal }))).results,
    staleTime: Infinity,
    gcTime: Infinity,
  });

/** The flows of the portal, with their sentences and warnings. */
export const flowsQuery = () =>
  infiniteQueryOptions({
    queryKey: ['flows'],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) =>
      dataOf(
        'GET /enrollment/v1/flows',
        api.GET('/enrollment/v1/flows', { params: { query: pageOf(FLOWS_A_PAGE, pageParam) }, signal }),
      ),
    getNextPageParam: nextPage,
  });

/** The document of a flow, as `PUT` takes it. */
export const flowQuery = (flowId: string) =>
  queryOptions({
    queryKey: ['flow', flowId],
    queryFn: ({ signal }) => readFlow(flowId, signal),
  });

export const readFlow = (flowId: string, signal?: AbortSignal): Promise<Flow> =>
  dataOf(
    `GET /automation/v4/flows/${flowId}`,
    api.GET('/automation/v4/flows/{flowId}', {
      params: { path: { flowId } },
      ...(signal === undefined ? {} : { signal }),
    }),
  );

export const enrollmentsOfFlowQuery = (flowId: string) =>
  infiniteQueryOptions({
    queryKey: ['flow', flowId, 'enrollments'],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) =>
      dataOf(
        `GET /enrollment/v1/flows/${flowId}/enrollments`,
        api.GET('/enrollment/v1/flows/{flowId}/enrollments', {
          params: { path: { flowId }, query: pageOf(ENROLLMENTS_A_PAGE, pageParam) },
          signal,
        }),
      ),
    getNextPageParam: nextPage,
    placeholderData: keepPreviousData,
  });

/** The revisions of a flow, the newest first. */
export const revisionsQuery = (flowId: string) =>
  infiniteQueryOptions({
    queryKey: ['flow', flowId, 'revisions'],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) =>
      dataOf(
        `GET /enrollment/v1/flows/${flowId}/revisions`,
        api.GET('/enrollment/v1/flows/{flowId}/revisions', {
          params: { path: { flowId }, query: pageOf(REVISIONS_A_PAGE, pageParam) },
          signal,
        }),
      ),
    getNextPageParam: nextPage,
  });

/** One flow of the list. It is read from the list's pages, which the screen of a flow shares with the list. */
export const flowOverviewQuery = (flowId: string) => ({
  ...flowsQuery(),
  select: (data: { pages: { results: FlowOverview[] }[] }): FlowOverview | undefined =>
    data.pages.flatMap((page) => page.results).find((flow) => flow.id === flowId),
});

/** What the list shows of a flow beside its settings: the API computes it when asked. */
export type FlowActivity = Schemas['FlowActivity'];

const ACTIVITY_EVERY_MS = 60_000;

/** Counts and last decisions of at most ten flows, read again every minute. The interval stops in a hidden page. */
export const flowActivityQuery = (flowIds: string[]) =>
  queryOptions({
    queryKey: ['flow-activity', ...flowIds],
    queryFn: async ({ signal }) =>
      (
        await dataOf(
          'POST /enrollment/v1/flows/summaries',
          api.POST('/enrollment/v1/flows/summaries', { body: { flowIds }, signal }),
        )
      ).results,
    refetchInterval: ACTIVITY_EVERY_MS,
  });
