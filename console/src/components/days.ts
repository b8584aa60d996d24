/** Days in the time zone of the reader. */

import { locale, text } from '../text';

const DAY_MS = 86_400_000;

interface Zone {
  timeZone: string | undefined;
}

/** `2026-11-27`: the day of a time in a time zone. */
export function dayOf(iso: string | number, { timeZone }: Zone): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short' }).format(new Date(iso));
}

/** `Today, 27 November`, `Yesterday, 26 November`, `25 November`, `25 November 2025`. */
export function dayWords(iso: string, nowMs: number, { timeZone }: Zone): string {
  const day = dayOf(iso, { timeZone });
  const isThisYear = day.slice(0, 4) === dayOf(nowMs, { timeZone }).slice(0, 4);
  const words = new Intl.DateTimeFormat(`${locale}-GB`, {
    timeZone,
    day: 'numeric',
    month: 'long',
    ...(isThisYear ? {} : { year: 'numeric' }),
  }).format(new Date(iso));
  if (day === dayOf(nowMs, { timeZone })) return text.record.today(words);
  if (day === dayOf(nowMs - DAY_MS, { timeZone })) return text.record.yesterday(words);
  return words;
}

/** `10 Feb`, `10 Feb 2025`: a date where the time of day does not matter. */
export function dateWords(iso: string, nowMs: number, { timeZone }: Zone): string {
  const isThisYear = dayOf(iso, { timeZone }).slice(0, 4) === dayOf(nowMs, { timeZone }).slice(0, 4);
  return new Intl.DateTimeFormat(`${locale}-GB`, {
    timeZone,
    day: 'numeric',
    month: 'short',
    ...(isThisYear ? {} : { year: 'numeric' }),
  }).format(new Date(iso));
}
