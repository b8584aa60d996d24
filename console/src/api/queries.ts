/** What the screens read. Each query has one key, so that screens share its answer. */

import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';

import { api, type Schemas } from './client';
import { dataOf } from './errors';

export type Portal = Schemas['Portal'];
export type EventType = Schemas['EventType'];
export type FlowOverview = Schemas['FlowOverview'];

/** Flows in a page. The list shows a button for the next page. */
export const FLOWS_A_PAGE = 100;

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

export const flowsQuery = () =>
    infiniteQueryOptions({
        queryKey: ['flows'],
        initialPageParam: undefined as string | undefined,
        queryFn: ({ pageParam, signal }) =>
            dataOf(
                'GET /enrollment/v1/flows',
                api.GET('/enrollment/v1/flows', {
                    params: {
                        query: { limit: FLOWS_A_PAGE, ...(pageParam === undefined ? {} : { after: pageParam }) },
                    },
                    signal,
                }),
            ),
        getNextPageParam: (page) => page.paging?.next.after,
    });
