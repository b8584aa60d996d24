import { expect, test } from 'vitest';

import type { EventType } from '../src/api/queries';
import { foundWords } from '../src/explanations/found';
import { filtersOf, type Line, linesOf } from '../src/explanations/lines';
import { type Account, stepStates } from '../src/explanations/steps';
import { matrixOf } from '../src/screens/why/matrix';

const operation: Record<string, never> = {};

function filter(property: string, found: string | null, passed: boolean) {
  return { property, operation, expected: `is "${property}"`, found, passed };
}

function account(change: Partial<Account> = {}): Account {
  return {
    code: 'FILTERED_OUT',
    flowId: '1016',
    flowRevisionId: '1',
    because: 'the record does not meet the refinement criteria',
    flowName: 'Looked at prices',
    failedConditions: [],
    triggerGroups: [
      {
        groupIndex: 0,
        eventType: 'website.page_visited',
        isConcerned: true,
        filters: [filter('hs_url_path', '/pricing', true)],
        passed: true,
      },
    ],
    recordAsOf: '2026-11-28T18:42:07.000Z',
    isComplete: true,
    suppression: null,
    goal: null,
    refinementCriteria: {
      filterBranchType: 'OR',
      filters: [],
      filterBranches: [
        {
          filterBranchType: 'AND',
          filters: [filter('lifecyclestage', 'customer', false), filter('country', 'France', false)],
          filterBranches: [],
          passed: false,
        },
        {
          filterBranchType: 'AND',
          filters: [filter('numemployees', '20', false)],
          filterBranches: [],
          passed: false,
        },
      ],
      passed: false,
    },
    currentFlowRevisionId: '1',
    enrollment: null,
    notes: [],
    ...change,
  };
}

const CATALOG = [
  {
    eventType: 'website.page_visited',
    label: 'Page visited',
    properties: [{ name: 'hs_url_path', label: 'Path' }],
  },
] as unknown as EventType[];

const lines = (of: Account): Line[] => linesOf(of, CATALOG, (iso) => iso.slice(11, 19));

test('a trigger with one filter is one line with what was found', () => {
  const [trigger] = lines(account());
  expect(trigger).toMatchObject({ subject: 'Page visited', words: 'where Path is "hs_url_path"', found: '/pricing' });
});

test('filters of an OR of AND groups stand side by side, joined by and within and or between groups', () => {
  const filters = lines(account()).at(-1)?.children ?? [];
  expect(filters.map(({ joint, subject, found }) => [joint, subject, found])).toEqual([
    [null, 'lifecyclestage', 'customer'],
    ['and', 'country', 'France'],
    ['or', 'numemployees', '20'],
  ]);
  expect(filters.every(({ isDecisive }) => isDecisive)).toBe(true);
});

test('a failed filter of a record that another group enrolled is not decisive', () => {
  const enrolled = account({ code: 'ENROLLED' });
  const criteria = enrolled.refinementCriteria;
  if (criteria === null || !('filterBranches' in criteria)) throw new Error('The criteria are a branch.');
  const met = {
    ...criteria,
    passed: true,
    filterBranches: criteria.filterBranches.map((branch, index) => (index === 1 ? passed(branch) : branch)),
  };
  const filters = filtersOf(lines({ ...enrolled, refinementCriteria: met }));
  expect(filters.filter(({ state }) => state === 'failed')).toHaveLength(2);
  expect(filters.some(({ isDecisive }) => isDecisive)).toBe(false);
});

const passed = <Branch extends { passed: boolean; filters: readonly { passed: boolean }[] }>(
  branch: Branch,
): Branch => ({
  ...branch,
  passed: true,
  filters: branch.filters.map((each) => ({ ...each, passed: true })),
});

test('a suppression that applies fails, because it must not be met', () => {
  const suppression = {
    filterBranchType: 'OR' as const,
    filters: [{ ...filter('list 7', null, true), found: true }],
    filterBranches: [],
    passed: true,
  };
  const suppressed = account({ code: 'SUPPRESSED', suppression });
  const line = lines(suppressed).find(({ key }) => key === 'suppression');
  expect(line).toMatchObject({ state: 'failed', isDecisive: true });
  expect(line?.children[0]).toMatchObject({ state: 'failed', found: 'member', isDecisive: true });
  expect(stepStates(suppressed).filters).toBe('notAsked');
});

test('steps after the one that decided are not evaluated', () => {
  const states = stepStates(account({ code: 'NOT_MATCHED' }));
  expect(states).toMatchObject({ trigger: 'failed', once: 'notAsked', filters: 'notAsked', goal: 'none' });
});

test('no step of a flow that was off is evaluated', () => {
  const off = account({ code: null, triggerGroups: [], refinementCriteria: null });
  expect(stepStates(off)).toMatchObject({ trigger: 'notAsked', once: 'notAsked', filters: 'none' });
  expect(lines(off)).toEqual([]);
});

test('the rule of an event that is not eligible is shown with its reason', () => {
  const [trigger, rule] = lines(account({ code: 'NOT_ELIGIBLE', because: 'the value did not change' }));
  expect(trigger?.isDecisive).toBe(false);
  expect(rule).toMatchObject({ state: 'failed', because: 'the value did not change', isDecisive: true });
});

test('criteria that wait for late data are neither met nor failed', () => {
  expect(lines(account({ code: 'WAITING' })).at(-1)?.state).toBe('waiting');
});

test('a cell of the matrix has the values that made the step fail', () => {
  const [row] = matrixOf([account()], CATALOG);
  expect(row?.cells.map(({ state, words }) => [state, words])).toEqual([
    ['passed', '/pricing'],
    ['passed', 'not before'],
    ['none', '–'],
    ['none', '–'],
    ['failed', 'customer, France, 20'],
  ]);
});

test.each([
  [null, '', 'no value'],
  [true, '', 'yes'],
  [false, 'list 42', 'not a member'],
  [2, 'associated 0-2', '2 associated records'],
  [['a', 'b'], '', 'a, b'],
  ['x'.repeat(300), '', `${'x'.repeat(200)}…`],
])('%s of "%s" is shown as %s', (found, subject, words) => {
  expect(foundWords(found, subject)).toBe(words);
});

test('a filter about associated records has a line for each record that made it fail', () => {
  const failure = { property: 'industry', operation, expected: 'is any of "Retail"', found: 'Finance' };
  const failed = {
    ...filter('associated companies', null, false),
    found: 2,
    associated: [
      { record: '0-2/900', failure },
      { record: '0-2/901', failure: null },
    ],
  };
  const refinementCriteria = { filterBranchType: 'AND' as const, filters: [failed], filterBranches: [], passed: false };
  const [about] = lines(account({ refinementCriteria })).at(-1)?.children ?? [];
  expect(about?.found).toBe('2 associated records');
  expect(about?.children.map(({ subject, words, found, isDecisive }) => [subject, words, found, isDecisive])).toEqual([
    ['company/900', 'industry is any of "Retail"', 'Finance', true],
    ['company/901', 'meets all filters', null, true],
  ]);
  const row = matrixOf([account({ refinementCriteria })], CATALOG)[0];
  expect(row?.cells.find(({ step }) => step === 'filters')?.words).toBe('Finance');
});
