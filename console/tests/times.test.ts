import { expect, test } from 'vitest';

import { formatClock, formatTime } from '../src/components/times';

const NOW = Date.parse('2026-11-28T18:43:00Z');
const UTC = { timeZone: 'UTC' };

test.each([
  ['2026-11-28T18:43:20Z', '18:43:20'],
  ['2026-11-28T18:43:08Z', '0 s ago'],
  ['2026-11-28T18:42:48Z', '12 s ago'],
  ['2026-11-28T18:40:00Z', '3 min ago'],
  ['2026-11-28T16:42:07Z', '16:42:07'],
  ['2026-11-27T18:42:00Z', '27 Nov 18:42'],
  ['2025-11-27T18:42:00Z', '27 Nov 2025'],
])('%s is shown as %s', (iso, words) => {
  expect(formatTime(iso, NOW, UTC)).toBe(words);
});

test('an absolute time does not depend on how long ago it is', () => {
  expect(formatClock('2026-11-28T18:42:48Z', NOW, UTC)).toBe('18:42:48');
});

test('the day is that of the time zone', () => {
  expect(formatTime('2026-11-28T14:30:00Z', NOW, { timeZone: 'Asia/Seoul' })).toBe('28 Nov 23:30');
});
