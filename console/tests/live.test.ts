import { expect, test } from 'vitest';

import type { Activity, RecentEvent } from '../src/api/event-queries';
import {
  barsOf,
  type Followed,
  intervalMs,
  MOST_ROWS,
  nextSince,
  NOTHING,
  released,
  unlistedOf,
  withAnswer,
} from '../src/screens/live/following';

const NOW = Date.parse('2026-11-28T18:42:30.000Z');

function recent(id: string, occurredAt: string, code: 'ENROLLED' | 'FILTERED_OUT' | null = null): RecentEvent {
  const event = {
    objectType: 'CONTACT',
    objectId: '101',
    eventType: 'forms.submitted',
    eventTypeId: null,
    occurredAt,
    sentAt: occurredAt,
    source: 'test',
    id,
    properties: {},
  };
  return { event, decisions: code === null ? [] : ([{ code }] as unknown as NonNullable<RecentEvent['decisions']>) };
}

function answer(results: readonly RecentEvent[], change: Partial<Activity> = {}): Activity {
  return {
    results: [...results],
    more: 0,
    isTruncated: false,
    since: '2026-11-28T18:40:00.000Z',
    minutes: [],
    eventTypes: [],
    omittedEventTypes: [],
    ...change,
  };
}

const idsOf = ({ rows }: Followed): string[] => rows.map(({ event }) => event.id);

const A = recent('a', '2026-11-28T18:41:00.000Z');
const B = recent('b', '2026-11-28T18:42:00.000Z');

test('an event that two answers have is listed once, by when it occurred', () => {
  const followed = withAnswer(withAnswer(NOTHING, answer([B]), false), answer([B, A]), false);
  expect(idsOf(followed)).toEqual(['b', 'a']);
});

test('what arrives while the list is held waits, and is on top when released', () => {
  const held = withAnswer(withAnswer(NOTHING, answer([A]), false), answer([B, A]), true);
  expect(idsOf(held)).toEqual(['a']);
  expect(held.held).toHaveLength(1);
  expect(idsOf(released(held))).toEqual(['b', 'a']);
});

test('a decision that was open is replaced by the final one', () => {
  const first = withAnswer(NOTHING, answer([recent('a', A.event.occurredAt)]), false);
  const second = withAnswer(first, answer([recent('a', A.event.occurredAt, 'ENROLLED')]), false);
  expect(second.rows[0]?.decisions?.[0]?.code).toBe('ENROLLED');
});

test('the next request reads again what occurred in the last two minutes', () => {
  expect(nextSince(withAnswer(NOTHING, answer([B]), false), NOW)).toBe('2026-11-28T18:40:00.000Z');
  expect(nextSince(NOTHING, NOW)).toBe('2026-11-28T18:27:00.000Z');
});

test('an event with a time in the future does not hide those until then', () => {
  const future = withAnswer(NOTHING, answer([recent('f', '2027-01-01T00:00:00.000Z')]), false);
  expect(nextSince(future, NOW)).toBe('2026-11-28T18:40:00.000Z');
});

test('events that are neither in the answer nor known are counted', () => {
  const before = withAnswer(NOTHING, answer([A]), false);
  expect(unlistedOf(before, answer([B], { more: 341 }))).toBe(340);
  const after = withAnswer(before, answer([B], { more: 341 }), false);
  expect(after.gaps).toEqual([{ at: B.event.occurredAt, events: 340 }]);
});

test('the first answer leaves out what is older, and that is no gap', () => {
  expect(withAnswer(NOTHING, answer([B], { more: 900 }), false).gaps).toEqual([]);
});

test('the list has a limit', () => {
  const many = Array.from({ length: MOST_ROWS + 50 }, (_, index) =>
    recent(`e${String(index)}`, new Date(NOW - index).toISOString()),
  );
  expect(withAnswer(NOTHING, answer(many), false).rows).toHaveLength(MOST_ROWS);
});

test('a bar counts all events of its minute, and the decisions of those that are listed', () => {
  const followed = withAnswer(
    NOTHING,
    answer(
      [recent('x', '2026-11-28T18:42:10.000Z', 'ENROLLED'), recent('y', '2026-11-28T18:42:05.000Z', 'FILTERED_OUT')],
      {
        minutes: [{ start: '2026-11-28T18:42:00.000Z', events: 7 }],
      },
    ),
    false,
  );
  const bars = barsOf(followed, NOW);
  expect(bars).toHaveLength(15);
  expect(bars.at(-1)).toEqual({ start: '2026-11-28T18:42:00.000Z', events: 7, enrolled: 1, keptOut: 1 });
});

test('requests become rarer while the reader is idle', () => {
  expect([0, 119_000, 120_000, 599_000, 600_000].map(intervalMs)).toEqual([3_000, 3_000, 10_000, 10_000, 30_000]);
});
