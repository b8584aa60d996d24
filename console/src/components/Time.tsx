import { useClock } from '../shell/clock';
import { text } from '../text';
import { copy } from './copying';
import { formatClock, formatTime } from './times';

interface TimeProps {
  /** ISO 8601. */
  iso: string;
  /** Never relative to now: for lists that are read from top to bottom. */
  isAbsolute?: boolean;
}

/** A time. The tooltip has it in UTC, and a click copies that. */
export function Time({ iso, isAbsolute = false }: TimeProps) {
  const { nowMs, timeZone } = useClock();
  const utc = new Date(iso).toISOString();
  return (
    <button type="button" className="time num" title={text.time.copyUtc(utc)} onClick={() => copy(utc)}>
      <time dateTime={utc}>{(isAbsolute ? formatClock : formatTime)(iso, nowMs, { timeZone })}</time>
    </button>
  );
}
