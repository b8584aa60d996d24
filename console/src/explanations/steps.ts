/** The steps of a decision, in the order in which Enroll evaluates them. */

import type { Schemas } from '../api/client';
import type { DecisionCode } from '../components/decisions';

export type Account = Schemas['Account'];

export const STEPS = ['trigger', 'once', 'suppression', 'goal', 'filters'] as const;
export type StepName = (typeof STEPS)[number];

/** `none`: the flow has no such step. `notAsked`: an earlier step has decided. */
export type StepState = 'passed' | 'failed' | 'waiting' | 'none' | 'notAsked';

/** The step at which an event was rejected. */
const DECIDED_AT: Readonly<Record<Exclude<DecisionCode, 'ENROLLED'>, StepName>> = {
  DUPLICATE_EVENT: 'once',
  UNKNOWN_RECORD: 'trigger',
  NOT_ELIGIBLE: 'trigger',
  LOOP_STOPPED: 'trigger',
  BEFORE_ACTIVATION: 'trigger',
  NOT_MATCHED: 'trigger',
  MET_BEFORE: 'trigger',
  ALREADY_ENROLLED: 'once',
  SUPPRESSED: 'suppression',
  GOAL_MET: 'goal',
  FILTERED_OUT: 'filters',
  WAITING: 'filters',
};

/** Return the step that decided; null if none rejected the event, or if the flow made no decision. */
export function decidingStep(account: Pick<Account, 'code'>): StepName | null {
  return account.code === null || account.code === 'ENROLLED' ? null : DECIDED_AT[account.code];
}

/** Whether the flow evaluated the event at all. A flow that was off did not. */
export const wasEvaluated = (account: Account): boolean =>
  account.code !== null || account.triggerGroups.some((group) => group.isConcerned);

/** Return the state of each step. */
export function stepStates(account: Account): Record<StepName, StepState> {
  const decided = decidingStep(account);
  const exists: Record<StepName, boolean> = {
    trigger: true,
    once: true,
    suppression: account.suppression !== null,
    goal: account.goal !== null,
    filters: account.refinementCriteria !== null || decided === 'filters',
  };
  const states = {} as Record<StepName, StepState>;
  let isDecided = !wasEvaluated(account);
  for (const step of STEPS) {
    if (isDecided) {
      states[step] = exists[step] ? 'notAsked' : 'none';
    } else if (step === decided) {
      states[step] = account.code === 'WAITING' ? 'waiting' : 'failed';
      isDecided = true;
    } else {
      states[step] = exists[step] ? 'passed' : 'none';
    }
  }
  return states;
}
