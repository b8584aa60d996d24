/** What the screens read about one event, and about the newest events. */

import { queryOptions } from '@tanstack/react-query';

import { api, type Schemas } from './client';
import { dataOf } from './errors';

export type Outcome = Schemas['Outcome'];
export type OutcomeResult = Outcome['results'][number];
export type UnprocessedSummary = Schemas['UnprocessedSummary'];
export type Activity = Schemas['Activity'];
export type RecentEvent = Schemas['RecentEvent'];

/** The most types that one request for the newest events searches. */
export const MOST_EVENT_TYPES = 12;
export const ACTIVITY_AT_ONCE = 25;

/** While a decision is open, the event is read again. */
const OPEN_INTERVAL_MS = 3_000;

/** What became of an event, wherever its record is. */
export const outcomeQuery = (eventId: string) =>
  queryOptions({
    queryKey: ['outcome', eventId],
    queryFn: ({ signal }) =>
      dataOf(
        'GET /enrollment/v1/outcome',
        api.GET('/enrollment/v1/outcome', { params: { query: { eventId } }, signal }),
      ),
    refetchInterval: ({ state }) =>
      state.data?.status === 'WAITING' || state.data?.status === 'IN_PROGRESS' ? OPEN_INTERVAL_MS : false,
  });

/** An event in a stack that does not find events by their id alone: the events of one type and day are searched. */
export const occurrenceOfDayQuery = (eventId: string, eventType: string, day: string) =>
  queryOptions({
    queryKey: ['occurrence', eventId, eventType, day],
    queryFn: ({ signal }) =>
      dataOf(
        'GET /enrollment/v1/occurrences',
        api.GET('/enrollment/v1/occurrences', { params: { query: { eventId, eventType, day } }, signal }),
      ),
  });

/** The unprocessed events with an id. */
export const unprocessedEventsQuery = (eventId: string) =>
  queryOptions({
    queryKey: ['unprocessed', eventId],
    queryFn: ({ signal }) =>
      dataOf(
        'GET /enrollment/v1/unprocessed',
        api.GET('/enrollment/v1/unprocessed', { params: { query: { eventId } }, signal }),
      ),
    retry: false,
    staleTime: 60_000,
  });

/** An unprocessed event with its content. */
export const unprocessedEventQuery = (messageId: string) =>
  queryOptions({
    queryKey: ['unprocessed event', messageId],
    queryFn: ({ signal }) =>
      dataOf(
        `GET /enrollment/v1/unprocessed/${messageId}`,
        api.GET('/enrollment/v1/unprocessed/{messageId}', { params: { path: { messageId } }, signal }),
      ),
    retry: false,
    staleTime: 60_000,
  });

interface ActivityRequest {
  /** ISO 8601; all that is kept if undefined. */
  since: string | undefined;
  signal: AbortSignal;
}

/** The newest events of some types with their decisions. */
export const readActivity = ({ eventTypes, since, signal }: ActivityRequest & { eventTypes: readonly string[] }) =>
  readNewest({ eventTypes: eventTypes.join(',') }, since, signal);

/** The newest events that concern a flow, with its decisions. */
export const readActivityOfFlow = ({ flowId, since, signal }: ActivityRequest & { flowId: string }) =>
  readNewest({ flowId }, since, signal);

const readNewest = (
  subject: { eventTypes: string } | { flowId: string },
  since: string | undefined,
  signal: AbortSignal,
): Promise<Activity> =>
  dataOf(
    'GET /enrollment/v1/activity',
    api.GET('/enrollment/v1/activity', {
      params: {
        query: {
          ...subject,
          limit: ACTIVITY_AT_ONCE,
          decisions: true,
          ...(since === undefined ? {} : { since }),
        },
      },
      signal,
    }),
  );
