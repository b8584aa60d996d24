import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { cleanup, render } from '@testing-library/react';
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';

import { EVENT_GROUPS, filtersIn, groupsOf, LIST_CRITERIA, LIST_GROUPS, REFINEMENT } from '../src/drafts/documents';
import { at, type JsonObject, listAt, parse, write } from '../src/drafts/json';
import { EditorProvider } from '../src/screens/editor/context';
import { summarize } from '../src/screens/editor/impact';
import { NO_PROPERTIES } from '../src/screens/editor/properties';
import { TriggersTab } from '../src/screens/editor/TriggersTab';
import { flows } from './flow-documents';

afterEach(cleanup);

const DEMONSTRATION = join(import.meta.dirname, '../../cli/enroll/demo/flows');
const demonstration = readdirSync(DEMONSTRATION).map((file) => readFileSync(join(DEMONSTRATION, file), 'utf8'));

/** Show a document. Returns how often the editor changed it by itself. */
function show(document: JsonObject): number {
  const edit = vi.fn();
  render(
    <EditorProvider
      value={{
        document,
        base: document,
        faults: [],
        edit,
        events: [],
        propertiesOf: () => NO_PROPERTIES,
        showJson: () => undefined,
      }}
    >
      <TriggersTab isNew={false} onReplace={() => undefined}>
        {null}
      </TriggersTab>
    </EditorProvider>,
  );
  return edit.mock.calls.length;
}

/** Groups whose names begin with some words. Testing Library's roles take seconds for a hundred flows. */
const groupsNamed = (words: string): Element[] => [
  ...document.querySelectorAll(`[role='group'][aria-label^='${words}']`),
];

/** Each group of the document is shown, and each filter has a row. */
function expectAllShown(flow: JsonObject): void {
  const type = at(flow, ['enrollmentCriteria', 'type']);
  const root = type === 'LIST_BASED' ? LIST_CRITERIA : REFINEMENT;
  if (type === 'EVENT_BASED') {
    const groups = listAt(flow, EVENT_GROUPS).length + listAt(flow, LIST_GROUPS).length;
    expect([...groupsNamed('Unknown event'), ...groupsNamed('List membership')]).toHaveLength(groups);
    if (groups === 0) return;
  }
  if (type !== 'EVENT_BASED' && type !== 'LIST_BASED') return;
  const shown = groupsOf(flow, root);
  const groups = groupsNamed('Filter group');
  expect(groups).toHaveLength(shown.length);
  const rows = groups.reduce((sum, group) => sum + group.querySelectorAll('[data-path-row]').length, 0);
  expect(rows).toBe(shown.reduce((sum, path) => sum + filtersIn(at(flow, path)), 0));
}

test('varied flows open, show each group and filter, and come back unchanged', () => {
  fc.assert(
    fc.property(flows, (document) => {
      const before = write(document);
      expect(show(document)).toBe(0);
      expectAllShown(document);
      expect(write(document)).toBe(before);
      cleanup();
    }),
    { numRuns: 100 },
  );
}, 120_000);

test.each(demonstration)('a flow of the demonstration shows each group and filter', (content) => {
  const document = parse(content) as JsonObject;
  expect(show(document)).toBe(0);
  expectAllShown(document);
});

const event = (objectId: string, eventId: string, draft: string | null, saved: string | null) => ({
  eventId,
  eventType: 'forms.submitted',
  occurredAt: '2026-11-28T10:00:00.000Z',
  objectTypeId: '0-1',
  objectId,
  draft: outcome(draft),
  saved: outcome(saved),
});

const outcome = (code: string | null) =>
  code === null ? null : ({ code: code as 'ENROLLED', because: 'b', failedConditions: [] } as const);

const page = (isOnce: [boolean, boolean], results: ReturnType<typeof event>[]) => ({
  results: results.map((result) => ({ ...result, draft: copied(result.draft), saved: copied(result.saved) })),
  since: '2026-11-21T10:00:00.000Z',
  draftIsOnce: isOnce[0],
  savedIsOnce: isOnce[1],
  savedRevisionId: '1',
  savedIsEnabled: true,
});

const copied = (result: ReturnType<typeof outcome>) =>
  result === null ? null : { ...result, failedConditions: [...result.failedConditions] };

test('an enrollment is gained by its record and its event', () => {
  const summary = summarize([
    page([false, false], [event('1', 'b', 'ENROLLED', 'FILTERED_OUT'), event('1', 'a', 'ENROLLED', 'ENROLLED')]),
    page([false, false], [event('2', 'c', null, 'ENROLLED')]),
  ]);
  expect([summary.gained.length, summary.lost.length, summary.same.length, summary.events]).toEqual([1, 1, 1, 3]);
});

test('a record enters a once-only flow by its earliest event, whichever that is', () => {
  const summary = summarize([
    page([true, true], [event('1', 'b', 'ENROLLED', 'ENROLLED'), event('1', 'a', 'ENROLLED', 'NOT_MATCHED')]),
  ]);
  expect([summary.gained.length, summary.lost.length, summary.same.length]).toEqual([0, 0, 1]);
});
