/** The records that this browser opened last: their ids only, because names are personal data. */

import type { RecordKey } from '../../api/record-queries';

const STORED_AS = 'enroll.recent-records';
const KEPT = 10;

type Stored = Readonly<Record<string, readonly RecordKey[]>>;

function stored(): Stored {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(STORED_AS) ?? '{}');
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Stored) : {};
  } catch {
    // Storage may be refused, or hold another version's text.
    return {};
  }
}

const isKey = (value: unknown): value is RecordKey =>
  typeof value === 'object' &&
  value !== null &&
  'objectType' in value &&
  'objectId' in value &&
  typeof value.objectType === 'string' &&
  typeof value.objectId === 'string';

/** The records of a portal, the latest first. */
export function recentRecords(portalId: string): RecordKey[] {
  const records: unknown = stored()[portalId];
  return Array.isArray(records) ? records.filter(isKey).slice(0, KEPT) : [];
}

export function rememberRecord(portalId: string, record: RecordKey): void {
  const others = recentRecords(portalId).filter(
    (other) => other.objectType !== record.objectType || other.objectId !== record.objectId,
  );
  try {
    localStorage.setItem(STORED_AS, JSON.stringify({ [portalId]: [record, ...others].slice(0, KEPT) }));
  } catch {
    // The list is then empty after a reload.
  }
}
