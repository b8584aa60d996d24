import { Trash2 } from 'lucide-react';

import { ApiError } from '../../api/errors';
import type { RecordKey } from '../../api/record-queries';
import { dateWords } from '../../components/days';
import { formatClock } from '../../components/times';
import { useClock } from '../../shell/clock';
import { text } from '../../text';
import { Enrollments } from './RecordFacts';

/** Return when the record was deleted (ISO 8601), if that is why the API refused a request; otherwise undefined. */
export const deletionTime = (error: Error | null): string | undefined =>
  error instanceof ApiError
    ? error.faults.find(({ code }) => code === 'RECORD_DELETED')?.context.deletedAt?.[0]
    : undefined;

/** A record that was deleted: when, and what is kept of it. */
export function DeletedRecord({ record, deletedAt }: { record: RecordKey; deletedAt: string }) {
  const { nowMs, timeZone } = useClock();
  const day = dateWords(deletedAt, nowMs, { timeZone });
  return (
    <div className="body" tabIndex={0} role="region" aria-label={text.record.facts}>
      <div className="state" role="status">
        <Trash2 size={24} strokeWidth={1.5} aria-hidden />
        <h2>
          <time dateTime={deletedAt} title={formatClock(deletedAt, nowMs, { timeZone })}>
            {text.record.deleted(day)}
          </time>
        </h2>
        <p>{text.record.deletedKept}</p>
      </div>
      <div className="facts padded">
        <Enrollments record={record} />
      </div>
    </div>
  );
}
