import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import * as documents from '../src/drafts/documents';
import { draftFaults, faultsAt, withSuggestion } from '../src/drafts/faults';
import { change, historyOf, redo, undo } from '../src/drafts/history';
import {
  at,
  isObject,
  isSame,
  type Json,
  type JsonObject,
  listAt,
  parse,
  type Path,
  put,
  readPath,
  remove,
  write,
  writePath,
} from '../src/drafts/json';
import { choose, merge } from '../src/drafts/merge';
import * as operations from '../src/drafts/operations';
import { markNew } from '../src/drafts/words';
import { flows } from './flow-documents';

const DEMONSTRATION = join(import.meta.dirname, '../../cli/enroll/demo/flows');
const demonstration = readdirSync(DEMONSTRATION).map((file) => readFileSync(join(DEMONSTRATION, file), 'utf8'));

/** Each value of a key `x-…`, with its path. */
function unknownIn(value: Json, path: Path = []): readonly [Path, Json][] {
  if (Array.isArray(value)) return value.flatMap((item: Json, index) => unknownIn(item, [...path, index]));
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, item]) =>
    key.startsWith('x-') ? [[[...path, key], item] as [Path, Json]] : unknownIn(item, [...path, key]),
  );
}

const event = (eventType: string, eventTypeIds: string[] = []) => ({
  eventType,
  eventTypeIds,
  writtenIn: eventType === 'lists.membership_changed' ? 'listMembershipFilterBranches' : 'eventFilterBranches',
});

/** Edits that remove nothing. */
const EDITS: Readonly<Record<string, (document: JsonObject) => JsonObject>> = {
  name: (document) => documents.withSetting(document, 'name', 'Another name'),
  enabled: (document) => documents.withSetting(document, 'isEnabled', true),
  'trigger group': (document) => documents.addTriggerGroup(document, event('website.page_visited', ['4-96000'])),
  'list group': (document) => documents.addTriggerGroup(document, event('lists.membership_changed')),
  'filter group': (document) => documents.addFilterGroup(document, documents.REFINEMENT),
  'criteria group': (document) => documents.addFilterGroup(document, documents.LIST_CRITERIA),
  'move a group': (document) => documents.moveItem(document, documents.EVENT_GROUPS, 0, 1),
  're-enroll': (document) => put(document, documents.RE_ENROLL, true),
  tolerance: (document) => documents.withSetting(document, 'criteriaTolerance', 5),
  'operations of the first group': (document) => editOperations(document, [...documents.EVENT_GROUPS, 0]),
  'operations of the criteria': (document) => editOperations(document, documents.REFINEMENT),
};

function editOperations(document: JsonObject, branch: Path): JsonObject {
  const meanings = operations.meaningsOf(operations.operationsOfType(undefined));
  return listAt(document, [...branch, 'filters']).reduce<JsonObject>((edited, filter, index) => {
    if (at(filter, ['filterType']) !== 'PROPERTY') return edited;
    const meaning = meanings[index % meanings.length];
    if (meaning === undefined) return edited;
    const operation = operations.withMeaning(operations.operationOf(filter), meaning);
    return put(edited, [...branch, 'filters', index, 'operation'], operation);
  }, document);
}

/** The values of unknown keys, without their places: a change of the list's order moves them. */
const contentOfUnknown = (document: JsonObject): string[] =>
  unknownIn(document)
    .map(([path, value]) => `${String(path.at(-1))}=${write(value)}`)
    .sort();

test.each(Object.entries(EDITS))('the edit "%s" keeps unknown keys', (_name, edit) => {
  fc.assert(
    fc.property(flows, (document) => {
      const before = write(document);
      expect(contentOfUnknown(edit(document))).toEqual(contentOfUnknown(document));
      expect(write(document)).toBe(before);
    }),
  );
});

test('a change of the trigger type removes the other triggers only, and keeps the unknown keys of the flow', () => {
  const type = fc.constantFrom('EVENT_BASED' as const, 'LIST_BASED' as const, 'MANUAL' as const);
  fc.assert(
    fc.property(flows, type, (document, to) => {
      const changed = documents.withTriggerType(document, to);
      expect(documents.triggerTypeOf(changed)).toBe(to);
      expect(documents.partsRemovedBy(changed, to)).toEqual([]);
      const unknown = ([path]: readonly [Path, Json]) => path.length === 1 || path.length === 2;
      expect(unknownIn(changed).filter(unknown)).toEqual(expect.arrayContaining(unknownIn(document).filter(unknown)));
      if (to === documents.triggerTypeOf(document)) expect(isSame(changed, document)).toBe(true);
    }),
  );
});

test('a document comes back as it was written', () => {
  fc.assert(
    fc.property(flows, (document) => write(parse(write(document))) === write(document)),
    { numRuns: 200 },
  );
  for (const content of demonstration) expect(write(parse(content))).toBe(JSON.stringify(JSON.parse(content)));
});

test.each(['12345678901234567890', '1.0', '1e400', '-0', '0.10'])('the number %s keeps its notation', (number) => {
  expect(write(parse(`{"a":[${number}],"b":2}`))).toBe(`{"a":[${number}],"b":2}`);
});

test('a key named __proto__ stays a key', () => {
  const document = parse('{"__proto__":{"x-a":1},"b":1}') as JsonObject;
  expect(write(put(document, ['b'], 2))).toBe('{"__proto__":{"x-a":1},"b":2}');
});

test('undo returns to each earlier document, and redo to each later one', () => {
  const names = fc.array(fc.constantFrom(...Object.keys(EDITS)), { maxLength: 12 });
  fc.assert(
    fc.property(flows, names, (document, edits) => {
      let history = historyOf(document);
      const seen = [document];
      for (const name of edits) {
        history = change(history, EDITS[name]?.(history.present) ?? history.present);
        if (history.present !== seen.at(-1)) seen.push(history.present);
      }
      const last = history.present;
      for (const expected of seen.toReversed()) {
        expect(history.present).toBe(expected);
        history = undo(history);
      }
      for (let step = 0; step < edits.length; step += 1) history = redo(history);
      expect(history.present).toBe(last);
    }),
  );
});

test('typing in one field is undone at once', () => {
  const start = documents.newDocument('');
  let history = historyOf(start);
  for (const name of ['P', 'Pr', 'Pri']) {
    history = change(history, documents.withSetting(history.present, 'name', name), '$.name');
  }
  expect(documents.nameOf(history.present)).toBe('Pri');
  expect(undo(history).present).toBe(start);
});

describe('merge', () => {
  /** Edits of different parts. */
  const PARTS = {
    name: EDITS.name,
    tolerance: EDITS.tolerance,
    enabled: (document: JsonObject) => put(document, ['isEnabled'], document.isEnabled !== true),
    rate: (document: JsonObject) => put(document, ['enrollmentRateLimit'], { count: 5, period: 'DAY' }),
    trigger: EDITS['trigger group'],
    filters: EDITS['filter group'],
    reEnroll: (document: JsonObject) => put(document, documents.RE_ENROLL, at(document, documents.RE_ENROLL) !== true),
  } as Readonly<Record<string, (document: JsonObject) => JsonObject>>;
  const part = fc.constantFrom(...Object.keys(PARTS));

  test('changes of different parts are both kept, and the order of the two sides makes no difference', () => {
    fc.assert(
      fc.property(flows, fc.uniqueArray(part, { minLength: 2, maxLength: 6 }), (base, names) => {
        const apply = (document: JsonObject, some: string[]): JsonObject =>
          some.reduce((edited, name) => PARTS[name]?.(edited) ?? edited, document);
        const half = Math.ceil(names.length / 2);
        const [theirs, mine] = [apply(base, names.slice(0, half)), apply(base, names.slice(half))];
        const merged = merge(base, theirs, mine);
        expect(merged.conflicts).toEqual([]);
        expect(isSame(merged.document, merge(base, mine, theirs).document)).toBe(true);
        expect(isSame(merged.document, apply(base, names))).toBe(true);
      }),
    );
  });

  test('a document that only one side changed is taken', () => {
    fc.assert(
      fc.property(flows, flows, (base, changed) => {
        expect(isSame(merge(base, changed, base).document, changed)).toBe(true);
        const merged = merge(base, base, changed);
        expect(merged.conflicts).toEqual([]);
        expect(isSame(merged.document, changed)).toBe(true);
      }),
    );
  });

  test('groups that both sides added are both kept', () => {
    const base = documents.addTriggerGroup(documents.newDocument('Flow'), event('forms.submitted'));
    const theirs = documents.addTriggerGroup(base, event('calls.ended'));
    const mine = documents.addTriggerGroup(base, event('email.opened'));
    const merged = merge(base, theirs, mine);
    expect(merged.conflicts).toEqual([]);
    expect(listAt(merged.document, documents.EVENT_GROUPS).map((group) => at(group, ['eventTypeId']))).toEqual([
      'forms.submitted',
      'calls.ended',
      'email.opened',
    ]);
    expect(isSame(merged.document, merge(base, mine, theirs).document)).toBe(true);
  });

  test('the same group changed on both sides is a conflict, and either side can be chosen', () => {
    const base = documents.addTriggerGroup(documents.newDocument('Flow'), event('forms.submitted'));
    const path = [...documents.EVENT_GROUPS, 0, 'filters'];
    const theirs = put(base, path, [documents.propertyFilter('hs_form_id', {})]);
    const mine = put(base, path, [documents.propertyFilter('hs_page_id', {})]);
    const merged = merge(base, theirs, mine);
    expect(merged.conflicts.map((conflict) => writePath(conflict.path))).toEqual([
      '$.enrollmentCriteria.eventFilterBranches',
    ]);
    const [conflict] = merged.conflicts;
    if (conflict === undefined) throw new Error('There is no conflict.');
    expect(isSame(choose(merged.document, conflict, 'mine'), mine)).toBe(true);
    expect(isSame(choose(merged.document, conflict, 'theirs'), theirs)).toBe(true);
  });

  test('keys that the API sets are no change', () => {
    const base = { ...documents.newDocument('Flow'), revisionId: '7', updatedAt: 'then' };
    expect(merge(base, { ...base, revisionId: '8', updatedAt: 'now' }, base).changes).toEqual([]);
  });
});

describe('operations', () => {
  test('a second text makes MULTISTRING of STRING, and one text makes STRING again', () => {
    const one = operations.withTexts({ operationType: 'STRING', operator: 'IS_EQUAL_TO', value: '' }, ['Cork']);
    expect(one).toEqual({ operationType: 'STRING', operator: 'IS_EQUAL_TO', value: 'Cork' });
    const two = operations.withTexts(one, ['Cork', 'Dublin']);
    expect(two).toEqual({ operationType: 'MULTISTRING', operator: 'IS_EQUAL_TO', values: ['Cork', 'Dublin'] });
    expect(operations.withTexts(two, ['Cork'])).toEqual(one);
  });

  test('an operator of STRING only takes the last text', () => {
    const operation = { operationType: 'STRING', operator: 'HAS_EVER_CONTAINED', value: 'a' };
    expect(operations.withTexts(operation, ['a', 'b'])).toEqual({ ...operation, value: 'b' });
  });

  test('a number among the texts stays a number', () => {
    const operation = { operationType: 'ENUMERATION', operator: 'IS_ANY_OF', values: [7] };
    expect(operations.withTexts(operation, ['7', 'x']).values).toEqual([7, 'x']);
  });

  test('another meaning keeps the operands that it has too', () => {
    const [known] = operations.meaningsOf([{ operationType: 'ALL_PROPERTY', operators: ['IS_KNOWN'] }]);
    const [, other] = operations.meaningsOf([{ operationType: 'STRING', operators: ['IS_EQUAL_TO', 'CONTAINS'] }]);
    const operation = { operationType: 'STRING', operator: 'IS_EQUAL_TO', value: 'Cork', 'x-kept': 1 };
    if (known === undefined || other === undefined) throw new Error('A meaning is missing.');
    expect(operations.withMeaning(operation, other)).toMatchObject({
      operator: 'CONTAINS',
      value: 'Cork',
      'x-kept': 1,
    });
    expect(operations.withMeaning(operation, known)).toEqual({
      operationType: 'ALL_PROPERTY',
      operator: 'IS_KNOWN',
      'x-kept': 1,
      includeObjectsWithNoValueSet: false,
    });
  });

  test('each meaning is found again in the operation that it writes', () => {
    for (const meaning of operations.meaningsOf(operations.operationsOfType(undefined))) {
      expect(operations.meaningOf(operations.newOperation(meaning))?.id).toBe(meaning.id);
    }
  });

  test.each([
    ['500', 500],
    ['0.5', 0.5],
    ['-1', -1],
    ['', ''],
    ['12345678901234567890', '12345678901234567890'],
    ['five', 'five'],
  ])('the typed number %j is written as %j', (typed, written) => {
    expect(operations.readNumber(typed)).toBe(written);
  });

  test('a day is read and written', () => {
    const operation = operations.withDay({ operationType: 'DATE', operator: 'EQUAL' }, '2026-11-28');
    expect(operation).toMatchObject({ year: 2026, month: 'NOV', day: 28 });
    expect(operations.dayOf(operation)).toBe('2026-11-28');
  });
});

describe('faults', () => {
  const fault = (path: string, didYouMean: string[] = [], code = 'UNKNOWN_PROPERTY') =>
    draftFaults([{ in: path, message: 'm', code, context: { didYouMean } }])[0] as ReturnType<
      typeof draftFaults
    >[number];

  test('a path is read as the API writes it', () => {
    const path = '$.enrollmentCriteria.eventFilterBranches[0].filters[12].property';
    expect(readPath(path)).toEqual(['enrollmentCriteria', 'eventFilterBranches', 0, 'filters', 12, 'property']);
    expect(writePath(readPath(path))).toBe(path);
    expect(readPath('$')).toEqual([]);
  });

  test('a fault is shown at the nearest part that shows faults', () => {
    const faults = [fault('$.a.b[0].c'), fault('$.a')];
    expect(faultsAt(faults, ['a', 'b', 0])).toHaveLength(1);
    expect(faultsAt(faults, ['a'], [['a', 'b', 0]])).toHaveLength(1);
    expect(faultsAt(faults, [])).toHaveLength(2);
  });

  test('a suggestion replaces the value, or the name of an unknown key', () => {
    const document = { enrollmentCriteria: { shouldReenroll: true, type: 'EVENT_BASD' } };
    const key = fault('$.enrollmentCriteria.shouldReenroll', [], 'UNKNOWN_KEY');
    expect(withSuggestion(document, key, 'shouldReEnroll')).toEqual({
      enrollmentCriteria: { shouldReEnroll: true, type: 'EVENT_BASD' },
    });
    const value = fault('$.enrollmentCriteria.type');
    expect(at(withSuggestion(document, value, 'EVENT_BASED'), ['enrollmentCriteria', 'type'])).toBe('EVENT_BASED');
  });
});

test('words that the other text lacks are marked', () => {
  const parts = markNew('Enrolls a contact.', 'Enrolls a new contact.');
  expect(parts.filter((part) => part.isNew).map((part) => part.text)).toEqual(['new ']);
  expect(parts.map((part) => part.text).join('')).toBe('Enrolls a new contact.');
});

test('all parts of a text together are the text', () => {
  fc.assert(
    fc.property(fc.lorem(), fc.lorem(), (before, next) => {
      expect(
        markNew(before, next)
          .map((part) => part.text)
          .join(''),
      ).toBe(next);
      expect(markNew(next, next).every((part) => !part.isNew)).toBe(true);
    }),
  );
});

test('removing the last filter group removes the criteria', () => {
  const document = documents.addFilterGroup(documents.newDocument('Flow'), documents.REFINEMENT);
  const [group] = documents.groupsOf(document, documents.REFINEMENT);
  expect(documents.removeFilterGroup(document, documents.REFINEMENT, group ?? [])).toEqual(
    documents.newDocument('Flow'),
  );
  expect(remove(document, ['no', 'such'])).toBe(document);
});
