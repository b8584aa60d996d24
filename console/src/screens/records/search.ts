/** Finding a record by what a person types. */

import { readRecordPath, type RecordKey } from '../../api/record-queries';

export type RecordSearch =
  { kind: 'email'; email: string } | { kind: 'record'; record: RecordKey } | { kind: 'nothing' };

/** Read `ada@example.com`, `company/201` or `101`. An id alone is that of a contact. */
export function readRecordSearch(typed: string): RecordSearch {
  const words = typed.trim();
  if (words === '') return { kind: 'nothing' };
  const record = readRecordPath(words);
  if (record !== null && !record.objectType.includes('@')) return { kind: 'record', record };
  if (words.includes('@')) return { kind: 'email', email: words };
  return { kind: 'record', record: { objectType: 'contact', objectId: words } };
}
