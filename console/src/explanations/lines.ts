/** An explanation as lines of a tree: what was expected, what was found, and whether it made the difference. */

import type { Schemas } from '../api/client';
import type { EventType } from '../api/queries';
import { routeType } from '../components/events';
import { text } from '../text';
import { foundWords } from './found';
import { type Account, decidingStep, type StepName, STEPS, stepStates } from './steps';

type BranchResult = Schemas['BranchResult'];
type FilterResult = Schemas['FilterResult'];
type AssociatedFailure = Schemas['AssociatedFailure'];
type Result = BranchResult | FilterResult;
type GroupResult = Schemas['GroupResult'];

export interface Line {
  /** Unique in its tree. */
  key: string;
  /** The word that joins the line to the one before. */
  joint: 'and' | 'or' | null;
  /** What was evaluated: shown with emphasis before `words`. Empty for a branch. */
  subject: string;
  words: string;
  /** Null: there is no single value. */
  found: string | null;
  state: 'passed' | 'failed' | 'waiting';
  /** Whether the failure made the event fail. A failed filter of a group that another group replaces did not. */
  isDecisive: boolean;
  /** Why the value could not be compared, if so. */
  because?: string | undefined;
  children: readonly Line[];
}

/** Return the lines of an explanation, up to the step that decided. */
export function linesOf(account: Account, catalog: readonly EventType[], formatTime: (iso: string) => string): Line[] {
  const states = stepStates(account);
  const asked = STEPS.filter((step) => ['passed', 'failed', 'waiting'].includes(states[step]));
  return asked.flatMap((step) => stepLines(step, account, catalog, formatTime));
}

function stepLines(
  step: StepName,
  account: Account,
  catalog: readonly EventType[],
  formatTime: (iso: string) => string,
): Line[] {
  const isDeciding = decidingStep(account) === step;
  switch (step) {
    case 'trigger':
      return triggerLines(account, catalog, isDeciding);
    case 'once':
      return isDeciding ? [ruleLine('once', text.explanation.notEnrolledBefore, account)] : [];
    case 'suppression':
      return criteriaLines('suppression', account.suppression, text.explanation.suppression, {
        isMet: false,
        isDecisive: isDeciding,
      });
    case 'goal':
      return criteriaLines('goal', account.goal, text.explanation.goal, { isMet: false, isDecisive: isDeciding });
    case 'filters': {
      const as = account.recordAsOf === null ? '' : formatTime(account.recordAsOf);
      const lines = criteriaLines('filters', account.refinementCriteria, text.explanation.filters(as), {
        isMet: true,
        isDecisive: isDeciding,
      });
      return account.code === 'WAITING' ? lines.map((line) => ({ ...line, state: 'waiting' })) : lines;
    }
  }
}

/** The rules of an event before its filters have no tree: the reason is all that there is. */
const RULES: Readonly<Partial<Record<NonNullable<Account['code']>, string>>> = {
  NOT_ELIGIBLE: text.explanation.eligible,
  LOOP_STOPPED: text.explanation.noLoop,
  BEFORE_ACTIVATION: text.explanation.afterActivation,
  UNKNOWN_RECORD: text.explanation.knownRecord,
  MET_BEFORE: text.explanation.notMetBefore,
};

function triggerLines(account: Account, catalog: readonly EventType[], isDeciding: boolean): Line[] {
  const rule = account.code === null ? undefined : RULES[account.code];
  const before = criteriaLines('before', account.enrollmentCriteriaBefore ?? null, text.explanation.criteriaBefore, {
    isMet: false,
    isDecisive: isDeciding && account.code === 'MET_BEFORE',
  });
  const after = criteriaLines('after', account.enrollmentCriteria ?? null, text.explanation.criteriaAfter, {
    isMet: true,
    isDecisive: isDeciding && account.code === 'NOT_MATCHED',
  });
  const groups = account.triggerGroups.filter((group) => group.isConcerned);
  const isPassed = groups.some((group) => group.passed);
  const triggers = groups.map((group, index) =>
    groupLine(group, catalog, index, isDeciding && rule === undefined && !isPassed),
  );
  return [...triggers, ...before, ...after, ...(rule === undefined ? [] : [ruleLine('rule', rule, account)])];
}

function groupLine(group: GroupResult, catalog: readonly EventType[], index: number, isDecisive: boolean): Line {
  const eventType = catalog.find((type) => type.eventType === group.eventType);
  const label = eventType?.label ?? group.eventType;
  const labels = new Map(eventType?.properties.map((property) => [property.name, property.label]) ?? []);
  const key = `group ${group.groupIndex}`;
  const filters = group.filters.map((filter, place) =>
    filterLine(filter, `${key} ${place}`, {
      joint: place === 0 ? null : 'and',
      isMet: true,
      isDecisive,
      label: labels.get(filter.property),
    }),
  );
  const [only] = filters;
  const line = { key, joint: index === 0 ? null : ('or' as const), isDecisive: isDecisive && !group.passed };
  const state = group.passed ? 'passed' : 'failed';
  if (filters.length === 1 && only !== undefined) {
    const words = text.explanation.where(only.subject, only.words);
    return { ...line, subject: label, words, found: only.found, state, because: only.because, children: [] };
  }
  return { ...line, subject: label, words: '', found: null, state, children: filters };
}

const ruleLine = (key: string, words: string, account: Account): Line => ({
  key,
  joint: null,
  subject: '',
  words,
  found: null,
  state: 'failed',
  isDecisive: true,
  because: account.because,
  children: [],
});

interface Position {
  joint?: Line['joint'];
  /** Whether the criteria must be met. False for suppression and goal: they must not be. */
  isMet: boolean;
  isDecisive: boolean;
  label?: string | undefined;
}

function criteriaLines(key: string, result: Result | null, words: string, position: Position): Line[] {
  if (result === null) return [];
  const isPassed = result.passed === position.isMet;
  const isDecisive = position.isDecisive && !isPassed;
  const children = isBranch(result)
    ? branchLines(result, key, { ...position, isDecisive })
    : [filterLine(result, `${key} 0`, { ...position, isDecisive })];
  return [
    {
      key,
      joint: null,
      subject: '',
      words,
      found: null,
      state: isPassed ? 'passed' : 'failed',
      isDecisive,
      children,
    },
  ];
}

/** Return the parts of a branch. Groups of an OR branch are shown side by side, joined by `or`, and their filters by `and`. */
function branchLines(branch: BranchResult, key: string, position: Position): Line[] {
  const parts = partsOf(branch);
  const joint = branch.filterBranchType === 'OR' || branch.filterBranchType === 'NOT_ANY' ? 'or' : 'and';
  const isNegated = branch.filterBranchType === 'NOT_ALL' || branch.filterBranchType === 'NOT_ANY';
  const inside = { ...position, isMet: isNegated ? !position.isMet : position.isMet };
  return parts.flatMap((part, index) => {
    const own = { ...inside, joint: index === 0 ? null : joint } as const;
    if (!isBranch(part)) return [filterLine(part, `${key} ${index}`, own)];
    if (part.filterBranchType === 'AND' && part.filterBranches.length === 0) {
      const isDecisive = own.isDecisive && part.passed !== own.isMet;
      const lines = branchLines(part, `${key} ${index}`, { ...own, isDecisive });
      return lines.map((line, place) => (place === 0 ? { ...line, joint: own.joint } : line));
    }
    return [branchLine(part, `${key} ${index}`, own)];
  });
}

function branchLine(branch: BranchResult, key: string, position: Position): Line {
  const isPassed = branch.passed === position.isMet;
  const isDecisive = position.isDecisive && !isPassed;
  return {
    key,
    joint: position.joint ?? null,
    subject: '',
    words: text.explanation.branch[branch.filterBranchType],
    found: null,
    state: isPassed ? 'passed' : 'failed',
    isDecisive,
    children: branchLines(branch, key, { ...position, isDecisive }),
  };
}

function filterLine(filter: FilterResult, key: string, position: Position): Line {
  const isPassed = filter.passed === position.isMet;
  return {
    key,
    joint: position.joint ?? null,
    subject: position.label ?? filter.property,
    words: filter.expected,
    found: foundWords(filter.found, filter.property),
    state: isPassed ? 'passed' : 'failed',
    isDecisive: position.isDecisive && !isPassed,
    because: filter.because,
    children: (filter.associated ?? []).map((associated, place) =>
      associatedLine(associated, `${key} record ${place}`, position.isDecisive && !isPassed),
    ),
  };
}

/** An associated record because of which a filter fails: its first filter that fails, or that it meets all of them. */
function associatedLine({ record, failure }: AssociatedFailure, key: string, isDecisive: boolean): Line {
  const [objectType = '', ...objectId] = record.split('/');
  return {
    key,
    joint: null,
    subject: `${routeType(objectType)}/${objectId.join('/')}`,
    words:
      failure === null
        ? text.explanation.meetsAll
        : `${failure.property} ${failure.expected ?? text.explanation.failed}`,
    found: failure === null ? null : foundWords(failure.found, failure.property),
    state: 'failed',
    isDecisive,
    children: [],
  };
}

const partsOf = (branch: BranchResult): readonly Result[] => [...branch.filters, ...branch.filterBranches];

const isBranch = (result: Result): result is BranchResult => 'filterBranchType' in result;

/** Return the lines without children, in their order: the filters that were evaluated. */
export const filtersOf = (lines: readonly Line[]): Line[] =>
  lines.flatMap((line) => (line.children.length === 0 ? [line] : filtersOf(line.children)));
