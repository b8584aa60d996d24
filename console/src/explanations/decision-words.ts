/** The words beside a decision. */

import { text } from '../text';
import { lookOf } from '../components/decisions';
import type { Account } from './steps';

/** The decision in words, with the time until which it waits, or at which its message is due. */
export function decisionWords(account: Account, formatTime: (iso: string) => string): string {
  const { code, enrollment, dueAt } = account;
  if (code === 'WAITING' && dueAt !== undefined) return text.decision.waitingUntil(formatTime(dueAt));
  if (code === 'ENROLLED' && enrollment?.dueAt !== undefined && !enrollment.isPublished) {
    return text.decision.enrolledDue(formatTime(enrollment.dueAt));
  }
  return lookOf(code).words;
}

/** Why, in a few words: the failed conditions of a filter, or the reason of the API. */
export function reasonWords(account: Account): string {
  if (account.code === 'ENROLLED') {
    return account.enrollment?.isPublished === true ? text.explanation.published : text.explanation.notPublished;
  }
  return account.failedConditions.length > 0 ? account.failedConditions.join('; ') : account.because;
}
