/** Times in words. The API gives times as ISO 8601 in UTC. */

import { formatAge, locale } from '../text';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

export interface TimeStyle {
  /** An IANA time zone, or undefined for the zone of this computer. */
  timeZone: string | undefined;
}

/** The present time may be this much behind, see `shell/clock.ts`. */
const CLOCK_STEP_MS = 10_000;

/** `12 s ago` under an hour, `18:42:07` today, `27 Nov 18:42` in this year, `27 Nov 2025` before. */
export function formatTime(iso: string, nowMs: number, { timeZone }: TimeStyle): string {
  const time = new Date(iso);
  const ageMs = nowMs - time.getTime();
  // The console's clock moves every ten seconds, so what has just happened may be after it.
  if (ageMs > -CLOCK_STEP_MS && ageMs < HOUR_MS) return formatAge(Math.floor(Math.max(ageMs, 0) / 1_000));
  return formatClock(iso, nowMs, { timeZone });
}

/** As `formatTime`, but never relative to now: for a list that is read from top to bottom. */
export function formatClock(iso: string, nowMs: number, { timeZone }: TimeStyle): string {
  const time = new Date(iso);
  const day = part({ timeZone, year: 'numeric', month: '2-digit', day: '2-digit' });
  if (day(time) === day(new Date(nowMs))) {
    return part({ timeZone, hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })(time);
  }
  const year = part({ timeZone, year: 'numeric' });
  const isThisYear = year(time) === year(new Date(nowMs));
  return part(
    isThisYear
      ? { timeZone, day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }
      : { timeZone, day: 'numeric', month: 'short', year: 'numeric' },
  )(time).replace(',', '');
}

const formats = new Map<string, Intl.DateTimeFormat>();

// A DateTimeFormat costs far more to construct than to use.
function part(options: Intl.DateTimeFormatOptions): (time: Date) => string {
  const key = JSON.stringify(options);
  const format = formats.get(key) ?? new Intl.DateTimeFormat(`${locale}-GB`, options);
  formats.set(key, format);
  return (time) => format.format(time);
}
