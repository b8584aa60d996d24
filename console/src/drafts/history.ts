/** Undo and redo. The past and the future are documents, because a document is never changed in place. */

import type { Json } from './json';

/** More steps are not kept. */
const STEPS_KEPT = 200;

export interface History<Document extends Json> {
  readonly past: readonly Document[];
  readonly present: Document;
  readonly future: readonly Document[];
  /** The field that was changed last. Further changes of it are one step, so that typing a word is undone at once. */
  readonly field: string | null;
}

export const historyOf = <Document extends Json>(document: Document): History<Document> => ({
  past: [],
  present: document,
  future: [],
  field: null,
});

/** Make a change. `field`: the field that it belongs to, if it is typed. */
export function change<Document extends Json>(
  history: History<Document>,
  next: Document,
  field: string | null = null,
): History<Document> {
  if (next === history.present) return history;
  const continues = field !== null && field === history.field && history.future.length === 0;
  const past = continues ? history.past : [...history.past, history.present].slice(-STEPS_KEPT);
  return { past, present: next, future: [], field };
}

export function undo<Document extends Json>(history: History<Document>): History<Document> {
  const last = history.past.at(-1);
  if (last === undefined) return history;
  return { past: history.past.slice(0, -1), present: last, future: [history.present, ...history.future], field: null };
}

export function redo<Document extends Json>(history: History<Document>): History<Document> {
  const [next, ...future] = history.future;
  if (next === undefined) return history;
  return { past: [...history.past, history.present], present: next, future, field: null };
}
