/** Following the newest events: what is listed, from where the next request reads, and when it is sent. */

import type { Activity, RecentEvent } from '../../api/event-queries';
import type { DecisionCode } from '../../components/decisions';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

/** Events beyond these are dropped, the oldest first. */
export const MOST_ROWS = 200;
/** The histogram reaches back so far, and so do requests while nothing is listed. */
export const SHOWN_MINUTES = 15;
/** Events arrive after they occurred, so each request reads these again. */
const OVERLAP_MS = 2 * MINUTE_MS;

export interface Row extends RecentEvent {
  key: string;
  /** The number of the answer in which it arrived. */
  arrival: number;
}

/** Events of a moment that are not listed, because there were too many of them. They occurred before `at`. */
export interface Gap {
  at: string;
  events: number;
}

export interface Followed {
  /** Listed events, the newest first. */
  rows: readonly Row[];
  /** Events that arrived while the list is held. */
  held: readonly Row[];
  gaps: readonly Gap[];
  /** Events by the start of their minute (ISO 8601). */
  minutes: ReadonlyMap<string, number>;
  /** How many answers have arrived. */
  answers: number;
}

export const NOTHING: Followed = { rows: [], held: [], gaps: [], minutes: new Map(), answers: 0 };

export const keyOf = ({ event }: RecentEvent): string => `${event.occurredAt} ${event.objectId} ${event.id}`;

/** Return from when the next request reads, at the start of a minute. */
export function nextSince({ rows, held }: Followed, nowMs: number): string {
  const newest = [rows[0], held[0]].flatMap((row) => (row === undefined ? [] : [Date.parse(row.event.occurredAt)]));
  const earliest = nowMs - SHOWN_MINUTES * MINUTE_MS;
  // A source may write a time in the future, which must not hide the events until then.
  const from = newest.length === 0 ? earliest : Math.max(Math.min(Math.max(...newest), nowMs), earliest) - OVERLAP_MS;
  return new Date(Math.floor(from / MINUTE_MS) * MINUTE_MS).toISOString();
}

/** Return how many events of an answer's period are neither in it nor known. */
export function unlistedOf({ rows, held }: Followed, { results, more, since }: Activity): number {
  if (more === 0) return 0;
  const answered = new Set(results.map(keyOf));
  const known = [...rows, ...held].filter(({ event, key }) => event.occurredAt >= since && !answered.has(key));
  return Math.max(0, more - known.length);
}

/** Add an answer. `isHeld`: the list must not move, so that what is new waits. */
export function withAnswer(before: Followed, answer: Activity, isHeld: boolean): Followed {
  const answers = before.answers + 1;
  const known = new Map([...before.rows, ...before.held].map((row) => [row.key, row]));
  const arrived: Row[] = [];
  const changed = new Map<string, Row>();
  for (const recent of answer.results) {
    const key = keyOf(recent);
    const row = known.get(key);
    if (row === undefined) arrived.push({ ...recent, key, arrival: answers });
    // A decision that was open may be final now.
    else changed.set(key, { ...row, ...recent });
  }
  const renewed = (rows: readonly Row[]) => rows.map((row) => changed.get(row.key) ?? row);
  const oldest = answer.results.at(-1)?.event.occurredAt;
  const unlisted = before.answers === 0 ? 0 : unlistedOf(before, answer);
  const gaps = unlisted > 0 && oldest !== undefined ? [{ at: oldest, events: unlisted }, ...before.gaps] : before.gaps;
  const rows = isHeld ? renewed(before.rows) : newestFirst([...arrived, ...renewed(before.rows)]);
  const held = isHeld ? newestFirst([...arrived, ...renewed(before.held)]) : renewed(before.held);
  return {
    rows,
    held,
    gaps: gaps.filter(({ at }) => at >= (rows.at(-1)?.event.occurredAt ?? '')),
    minutes: withMinutes(before.minutes, answer),
    answers,
  };
}

/** List what has waited. */
export const released = (before: Followed): Followed => ({
  ...before,
  rows: newestFirst([...before.held, ...before.rows]),
  held: [],
});

const newestFirst = (rows: readonly Row[]): Row[] =>
  [...rows]
    .sort((a, b) =>
      a.event.occurredAt === b.event.occurredAt
        ? a.key < b.key
          ? 1
          : -1
        : a.event.occurredAt < b.event.occurredAt
          ? 1
          : -1,
    )
    .slice(0, MOST_ROWS);

/** Minutes since the start of the answer's period are counted completely in it. Earlier ones stay as they are. */
function withMinutes(before: ReadonlyMap<string, number>, { minutes, since }: Activity): ReadonlyMap<string, number> {
  const kept = [...before].filter(([start]) => start < since);
  return new Map([...kept, ...minutes.map(({ start, events }) => [start, events] as const)]);
}

/** The codes of decisions by which the flow's own criteria kept a record out. */
const KEPT_OUT: ReadonlySet<DecisionCode | null> = new Set(['FILTERED_OUT', 'SUPPRESSED', 'GOAL_MET', 'LOOP_STOPPED']);

export interface Bar {
  start: string;
  events: number;
  enrolled: number;
  keptOut: number;
}

/** Return the last 15 minutes, the oldest first. Only listed events have a decision; the others count as other. */
export function barsOf({ rows, held, minutes }: Followed, nowMs: number): Bar[] {
  const last = Math.floor(nowMs / MINUTE_MS) * MINUTE_MS;
  const bars = Array.from({ length: SHOWN_MINUTES }, (_, index): Bar => {
    const start = new Date(last - (SHOWN_MINUTES - 1 - index) * MINUTE_MS).toISOString();
    return { start, events: minutes.get(start) ?? 0, enrolled: 0, keptOut: 0 };
  });
  const byStart = new Map(bars.map((bar) => [bar.start, bar]));
  for (const { event, decisions = [] } of [...rows, ...held]) {
    const bar = byStart.get(minuteOf(event.occurredAt));
    if (bar === undefined) continue;
    if (decisions.some(({ code }) => code === 'ENROLLED')) bar.enrolled += 1;
    else if (decisions.some(({ code }) => KEPT_OUT.has(code))) bar.keptOut += 1;
  }
  return bars.map((bar) => ({ ...bar, events: Math.max(bar.events, bar.enrolled + bar.keptOut) }));
}

/** The start of the minute of a time, as the API writes it. */
export const minuteOf = (iso: string): string =>
  new Date(Math.floor(Date.parse(iso) / MINUTE_MS) * MINUTE_MS).toISOString();

/** Return the milliseconds before the next request. `idleMs`: since the reader last moved, typed or scrolled. */
export function intervalMs(idleMs: number): number {
  if (idleMs < 2 * MINUTE_MS) return 3 * SECOND_MS;
  return idleMs < 10 * MINUTE_MS ? 10 * SECOND_MS : 30 * SECOND_MS;
}
