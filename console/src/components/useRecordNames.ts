import { useQueries } from '@tanstack/react-query';

import { type RecordKey, recordNamesQuery } from '../api/record-queries';
import { recordName } from './records';

/** Records whose names one request reads. */
const AT_ONCE = 100;

/**
 * Return a function that gives the name of a record, or undefined while it is not known. Each type is one request for
 * each hundred records.
 */
export function useRecordNames(records: readonly RecordKey[]): (record: RecordKey) => string | undefined {
    const idsByType = new Map<string, Set<string>>();
    for (const { objectType, objectId } of records) {
        idsByType.set(objectType, (idsByType.get(objectType) ?? new Set()).add(objectId));
    }
    const requests = [...idsByType].flatMap(([objectType, ids]) =>
        chunks([...ids]).map((chunk) => ({ objectType, chunk })),
    );
    const answers = useQueries({
        queries: requests.map(({ objectType, chunk }) => recordNamesQuery(objectType, chunk)),
    });
    return ({ objectType, objectId }) => {
        for (const [index, request] of requests.entries()) {
            const properties = request.objectType === objectType ? answers[index]?.data?.get(objectId) : undefined;
            if (properties !== undefined) return recordName(objectType, objectId, properties);
        }
        return undefined;
    };
}

// Ids keep the order in which they arrived, so that a new one leaves the earlier requests as they were.
function chunks(ids: readonly string[]): string[][] {
    const result: string[][] = [];
    for (let start = 0; start < ids.length; start += AT_ONCE) result.push(ids.slice(start, start + AT_ONCE));
    return result;
}
