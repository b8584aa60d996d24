/** What the screens read about records. */

import { infiniteQueryOptions, keepPreviousData, queryOptions } from '@tanstack/react-query';

import { recordName } from '../components/records';
import { Batch } from './batch';
import { api, type Schemas } from './client';
import { dataOf } from './errors';

export type WholeRecord = Schemas['WholeRecord'];
export type ExplainedEvent = Schemas['ExplainedEvent'];
export type Enrollment = Schemas['Enrollment'];

/** A page of a timeline costs about 7 read units an event, because each event is decided again. */
export const EVENTS_A_PAGE = 20;
export const ENROLLMENTS_A_PAGE = 20;

/** Properties from which the name of a record is made (components/records.ts). */
const NAME_PROPERTIES = ['firstname', 'lastname', 'name', 'dealname', 'subject', 'email'];

/** The object types whose associations a record shows. */
export const ASSOCIATED_TYPES = ['contact', 'company', 'deal', 'ticket'] as const;
const ASSOCIATED_SHOWN = 20;

export interface RecordKey {
  objectType: string;
  objectId: string;
}

const keyOf = ({ objectType, objectId }: RecordKey) => ['record', objectType, objectId] as const;

const pageOf = (limit: number, after: string | undefined) => ({ limit, ...(after === undefined ? {} : { after }) });

/** All that is stored of a record, with the time of each change. */
export const recordQuery = (record: RecordKey) =>
  queryOptions({
    queryKey: keyOf(record),
    queryFn: ({ signal }) =>
      dataOf(
        `GET /enrollment/v1/records/${record.objectType}/${record.objectId}`,
        api.GET('/enrollment/v1/records/{objectType}/{objectId}', { params: { path: record }, signal }),
      ),
  });

/** The events of a record, the latest first, with the decisions of each flow, or of `flowId` only. */
export const timelineQuery = (record: RecordKey, flowId: string | undefined) =>
  infiniteQueryOptions({
    queryKey: [...keyOf(record), 'timeline', flowId ?? null],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) =>
      dataOf(
        'GET /enrollment/v1/explain',
        api.GET('/enrollment/v1/explain', {
          params: {
            query: {
              ...record,
              ...(flowId === undefined ? {} : { flowId }),
              ...pageOf(EVENTS_A_PAGE, pageParam),
            },
          },
          signal,
        }),
      ),
    getNextPageParam: (page) => page.paging?.next.after,
    placeholderData: keepPreviousData,
  });

/** One event of a record with its decisions. */
export const explainedEventQuery = (record: RecordKey, eventId: string) =>
  queryOptions({
    queryKey: [...keyOf(record), 'event', eventId],
    queryFn: ({ signal }) =>
      dataOf(
        'GET /enrollment/v1/explain',
        api.GET('/enrollment/v1/explain', { params: { query: { ...record, eventId } }, signal }),
      ),
  });

export const enrollmentsOfRecordQuery = (record: RecordKey) =>
  infiniteQueryOptions({
    queryKey: [...keyOf(record), 'enrollments'],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) =>
      dataOf(
        `GET /enrollment/v1/records/${record.objectType}/${record.objectId}/enrollments`,
        api.GET('/enrollment/v1/records/{objectType}/{objectId}/enrollments', {
          params: { path: record, query: pageOf(ENROLLMENTS_A_PAGE, pageParam) },
          signal,
        }),
      ),
    getNextPageParam: (page) => page.paging?.next.after,
  });

/** Records of one type with which a record is associated: at most 20. */
export const associatedQuery = (record: RecordKey, toObjectType: string) =>
  queryOptions({
    queryKey: [...keyOf(record), 'associated', toObjectType],
    queryFn: ({ signal }) =>
      dataOf(
        `GET /crm/v4/objects/${record.objectType}/${record.objectId}/associations/${toObjectType}`,
        api.GET('/crm/v4/objects/{objectType}/{objectId}/associations/{toObjectType}', {
          params: { path: { ...record, toObjectType }, query: { limit: ASSOCIATED_SHOWN } },
          signal,
        }),
      ),
  });

/** The properties of a record with their earlier values. */
export const propertyHistoryQuery = (record: RecordKey, names: readonly string[]) =>
  queryOptions({
    queryKey: [...keyOf(record), 'history', names],
    queryFn: ({ signal }) =>
      dataOf(
        `GET /crm/v3/objects/${record.objectType}/${record.objectId}`,
        api.GET('/crm/v3/objects/{objectType}/{objectId}', {
          params: { path: record, query: { propertiesWithHistory: names.join(',') } },
          signal,
        }),
      ),
    enabled: names.length > 0,
  });

/** The id of the contact with an email address. 404 if there is none. */
export const contactByEmailQuery = (email: string) =>
  queryOptions({
    queryKey: ['contact by email', email],
    queryFn: async ({ signal }) => {
      const contact = await dataOf(
        `GET /crm/v3/objects/contact/${email}`,
        api.GET('/crm/v3/objects/{objectType}/{objectId}', {
          params: {
            path: { objectType: 'contact', objectId: email },
            query: { properties: 'email', idProperty: 'email' },
          },
          signal,
        }),
      );
      return contact.id;
    },
  });

/** The name of a record; null if there is no such record. Requests of one moment are sent as one. */
export const recordNameQuery = ({ objectType, objectId }: RecordKey) =>
  queryOptions({
    queryKey: ['record name', objectType, objectId],
    queryFn: async () => {
      const properties = await namesOf(objectType).read(objectId);
      return properties === undefined ? null : recordName(objectType, objectId, properties);
    },
    staleTime: 60_000,
    retry: false,
  });

type NameProperties = Schemas['Record']['properties'];

const batches = new Map<string, Batch<NameProperties>>();

function namesOf(objectType: string): Batch<NameProperties> {
  const batch = batches.get(objectType) ?? new Batch((ids) => readNames(objectType, ids));
  batches.set(objectType, batch);
  return batch;
}

async function readNames(objectType: string, ids: readonly string[]): Promise<ReadonlyMap<string, NameProperties>> {
  const answer = await dataOf(
    `POST /crm/v3/objects/${objectType}/batch/read`,
    api.POST('/crm/v3/objects/{objectType}/batch/read', {
      params: { path: { objectType } },
      body: { inputs: ids.map((id) => ({ id })), properties: NAME_PROPERTIES },
    }),
  );
  return new Map(answer.results.map((record) => [record.id, record.properties]));
}

/** Whether the filters of a flow hold for a record now. */
export const testFlow = (flowId: string, objectId: string) =>
  dataOf(
    `POST /enrollment/v1/flows/${flowId}/test`,
    api.POST('/enrollment/v1/flows/{flowId}/test', { params: { path: { flowId } }, body: { objectId } }),
  );

/** Events of a record that were not processed: at most 25. */
export const unprocessedOfRecordQuery = ({ objectType, objectId }: RecordKey) =>
  queryOptions({
    queryKey: [...keyOf({ objectType, objectId }), 'unprocessed'],
    queryFn: ({ signal }) =>
      dataOf(
        'GET /enrollment/v1/unprocessed',
        api.GET('/enrollment/v1/unprocessed', {
          params: { query: { record: `${objectType}/${objectId}`, limit: 25 } },
          signal,
        }),
      ),
    // Reading hides the messages of the queue from other readers for a moment.
    staleTime: 60_000,
    retry: false,
  });

/** Read `contact/103`. Null if it is no type and id. An id may contain slashes. */
export function readRecordPath(path: string): RecordKey | null {
  const slash = path.indexOf('/');
  if (slash < 1 || slash === path.length - 1) return null;
  return { objectType: path.slice(0, slash).toLowerCase(), objectId: path.slice(slash + 1) };
}
