import { useQueries } from '@tanstack/react-query';

import { type RecordKey, recordNameQuery } from '../api/record-queries';

const pathOf = ({ objectType, objectId }: RecordKey): string => `${objectType}/${objectId}`;

/** Return a function that gives the name of a record; undefined while it is not known, and if there is no such record. */
export function useRecordNames(records: readonly RecordKey[]): (record: RecordKey) => string | undefined {
  const distinct = [...new Map(records.map((record) => [pathOf(record), record])).values()];
  const names = useQueries({ queries: distinct.map(recordNameQuery) });
  const byPath = new Map(distinct.map((record, index) => [pathOf(record), names[index]?.data ?? undefined]));
  return (record) => byPath.get(pathOf(record));
}
