import { expect, test } from 'vitest';

import type { FlowOverview } from '../src/api/queries';
import { passes, readFlowsSearch, withoutEmpty } from '../src/screens/flows/filters';

const flow = {
  id: '1016',
  name: 'Looked at prices',
  objectTypeId: '0-1',
  isEnabled: true,
  eventTypes: ['website.page_visited'],
  explanation: ['Enrolls a contact: page visited, where path is "/pricing".'],
  warnings: [],
} as unknown as FlowOverview;

test.each([
  [{ search: 'PRICING' }, true],
  [{ search: 'looked 1016' }, true],
  [{ search: 'looked form' }, false],
  [{ search: 'contact' }, true],
  [{ status: 'off' as const }, false],
  [{ event: 'website.page_visited' }, true],
  [{ object: '0-2' }, false],
  [{ warnings: true }, false],
  [{ decision: 'ENROLLED' as const }, true],
  [{ decision: 'FILTERED_OUT' as const }, false],
])('the filters %o pass the flow: %s', (filters, isShown) => {
  expect(passes(flow, filters, 'ENROLLED')).toBe(isShown);
});

test('a decision that is not known passes no filter of decisions', () => {
  expect(passes(flow, { decision: 'ENROLLED' }, undefined)).toBe(false);
});

test('an address keeps only filters that the screen has', () => {
  const raw = { search: 1016, status: 'broken', decision: 'NO_SUCH', warnings: 'yes', other: 1, event: 'a.b' };
  expect(readFlowsSearch(raw)).toEqual({ search: '1016', event: 'a.b' });
});

test('a filter that filters nothing is not in the address', () => {
  expect(withoutEmpty({ search: '', status: undefined, warnings: false, event: 'a.b' })).toEqual({ event: 'a.b' });
});
