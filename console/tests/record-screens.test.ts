import { expect, test } from 'vitest';

import { Batch } from '../src/api/batch';
import { readRecordPath } from '../src/api/record-queries';
import { dateWords, dayOf, dayWords } from '../src/components/days';
import { eventSummary, routeType } from '../src/components/events';
import { stationsOf } from '../src/screens/event/stations';
import { readRecordSearch } from '../src/screens/records/search';

test.each([
  ['chloe.martin@example.com', { kind: 'email', email: 'chloe.martin@example.com' }],
  ['company/201', { kind: 'record', record: { objectType: 'company', objectId: '201' } }],
  ['Contact/a/b', { kind: 'record', record: { objectType: 'contact', objectId: 'a/b' } }],
  [' 101 ', { kind: 'record', record: { objectType: 'contact', objectId: '101' } }],
  ['  ', { kind: 'nothing' }],
])('%s finds a record', (typed, search) => {
  expect(readRecordSearch(typed)).toEqual(search);
});

test('a path without a type or an id is none', () => {
  expect([readRecordPath('101'), readRecordPath('/101'), readRecordPath('contact/')]).toEqual([null, null, null]);
});

test.each([
  ['CONTACT', 'contact'],
  ['0-3', 'deal'],
  ['2-77', '2-77'],
])('the type %s is %s in addresses', (type, route) => {
  expect(routeType(type)).toBe(route);
});

test.each([
  ['website.page_visited', { hs_url: 'https://www.example.com/pricing?a=1' }, '/pricing'],
  ['website.page_visited', { hs_url: 'no address' }, 'no address'],
  ['crm.property_changed', { hs_name: 'stage', hs_value: 'b', hs_previous_value: 'a' }, 'stage: a → b'],
  ['crm.property_changed', { hs_name: 'stage', hs_value: '' }, 'stage: → no value'],
  ['lists.membership_changed', { hs_list_id: '42', hs_membership_change: 'ADDED' }, 'added to 42'],
  ['meetings.booked', { hs_meeting_id: 'm-1', hs_meeting_title: 'Lunch' }, 'Lunch'],
  ['crm.object_created', {}, ''],
])('the summary of %s with %s is "%s"', (eventType, properties, words) => {
  expect(eventSummary({ eventType, properties: properties })).toBe(words);
});

test('days are those of the time zone', () => {
  const now = Date.parse('2026-11-28T18:00:00Z');
  expect(dayOf('2026-11-27T23:30:00Z', { timeZone: 'Europe/Oslo' })).toBe('2026-11-28');
  expect(dayWords('2026-11-27T23:30:00Z', now, { timeZone: 'Europe/Oslo' })).toBe('Today, 28 November');
  expect(dayWords('2026-11-27T12:00:00Z', now, { timeZone: 'UTC' })).toBe('Yesterday, 27 November');
  expect(dateWords('2025-02-10T12:00:00Z', now, { timeZone: 'UTC' })).toBe('10 Feb 2025');
});

const EVENT = {
  objectType: 'CONTACT',
  objectId: '101',
  eventType: 'forms.submitted',
  eventTypeId: null,
  occurredAt: '2026-11-28T18:00:00.000Z',
  sentAt: '2026-11-28T18:00:01.000Z',
  source: 'acme.website',
  id: 'e1',
  properties: {},
};

test('the stations of an event that waits end with what is not reached', () => {
  const stations = stationsOf({
    event: EVENT,
    decisions: [],
    status: 'WAITING',
    waitingUntil: '2026-11-28T18:05:00.000Z',
  });
  expect(stations.map(({ name, state }) => [name, state])).toEqual([
    ['Sent', 'done'],
    ['Kept', 'done'],
    ['Waiting', 'open'],
    ['Enrolled', 'skipped'],
    ['Published', 'skipped'],
  ]);
});

test('reads of one moment are one request', async () => {
  const requests: (readonly string[])[] = [];
  const batch = new Batch((ids) => {
    requests.push(ids);
    return Promise.resolve(new Map(ids.filter((id) => id !== 'missing').map((id) => [id, id.toUpperCase()])));
  });
  expect(await Promise.all([batch.read('a'), batch.read('b'), batch.read('a'), batch.read('missing')])).toEqual([
    'A',
    'B',
    'A',
    undefined,
  ]);
  expect(requests).toEqual([['a', 'b', 'missing']]);
});
