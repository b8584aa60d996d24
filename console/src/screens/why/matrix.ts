/** One event as a matrix: a row for each flow, a column for each step of its decision. */

import type { EventType } from '../../api/queries';
import { type Line, filtersOf, linesOf } from '../../explanations/lines';
import { type Account, type StepName, STEPS, stepStates, type StepState } from '../../explanations/steps';
import { text } from '../../text';

export interface Cell {
  step: StepName;
  state: StepState;
  /** What was found, in a few words. */
  words: string;
  /** Whether the step made the decision. */
  isDecisive: boolean;
}

export interface MatrixRow {
  account: Account;
  cells: readonly Cell[];
}

/** Values beyond these are in the explanation of the row. */
const VALUES_IN_CELL = 3;

/** Return the rows of the matrix, in the order of the API. */
export const matrixOf = (accounts: readonly Account[], catalog: readonly EventType[]): MatrixRow[] =>
  accounts.map((account) => {
    const states = stepStates(account);
    const lines = linesOf(account, catalog, () => '');
    return {
      account,
      cells: STEPS.map((step) => ({
        step,
        state: states[step],
        words: wordsOf(step, states[step], account, lines),
        isDecisive: states[step] === 'failed',
      })),
    };
  });

function wordsOf(step: StepName, state: StepState, account: Account, lines: readonly Line[]): string {
  if (state === 'none') return text.why.dash;
  if (state === 'notAsked') return text.why.state.notAsked;
  switch (step) {
    case 'trigger':
      return triggerWords(state, account, lines);
    case 'once':
      if (state === 'passed') return text.why.notBefore;
      return account.code === 'DUPLICATE_EVENT' ? text.why.duplicate : text.why.before;
    case 'suppression':
      return state === 'passed' ? text.why.notSuppressed : foundIn(lines, 'suppression') || text.why.suppressed;
    case 'goal':
      return state === 'passed' ? text.why.goalNotMet : foundIn(lines, 'goal') || text.why.goalMet;
    case 'filters':
      if (state === 'passed') return text.why.met;
      return foundIn(lines, 'filters') || text.why.state.failed;
  }
}

function triggerWords(state: StepState, account: Account, lines: readonly Line[]): string {
  if (state === 'passed') {
    const group = lines.find((line) => line.key.startsWith('group ') && line.state === 'passed');
    return (
      valuesOf(group === undefined ? [] : filtersOf([group]).filter((line) => line.found !== null)) || text.why.matches
    );
  }
  const failed = filtersOf(lines).filter((line) => line.isDecisive && line.found !== null);
  return valuesOf(failed) || account.because;
}

/** The values that made a step fail. */
const foundIn = (lines: readonly Line[], key: string): string =>
  valuesOf(
    filtersOf(lines.filter((line) => line.key === key)).filter((line) => line.isDecisive && line.found !== null),
  );

function valuesOf(lines: readonly Line[]): string {
  const values = lines.flatMap(({ found }) => (found === null ? [] : [found]));
  const shown = values.slice(0, VALUES_IN_CELL).join(', ');
  return values.length > VALUES_IN_CELL ? `${shown}…` : shown;
}
