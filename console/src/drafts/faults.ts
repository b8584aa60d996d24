/** Faults of a draft, and the fields that they belong to. */

import type { Fault } from '../api/errors';
import { at, isWithin, type JsonObject, type Path, put, readPath, rename } from './json';

export interface DraftFault {
  readonly path: Path;
  readonly message: string;
  readonly code: string;
  /** Values that are nearly the one that was found. */
  readonly suggestions: readonly string[];
}

export const draftFaults = (faults: readonly Fault[]): readonly DraftFault[] =>
  faults.map((fault) => ({
    path: readPath(fault.in),
    message: fault.message,
    code: fault.code,
    suggestions: fault.context.didYouMean ?? [],
  }));

/** The faults at a path or inside it, except for those inside `others`, which show their own. */
export const faultsAt = (
  faults: readonly DraftFault[],
  path: Path,
  others: readonly Path[] = [],
): readonly DraftFault[] =>
  faults.filter((fault) => isWithin(fault.path, path) && !others.some((other) => isWithin(fault.path, other)));

/** Apply a suggestion: it replaces the value at the path of the fault, or the key if the key is unknown. */
export function withSuggestion(document: JsonObject, fault: DraftFault, suggestion: string): JsonObject {
  if (fault.code === 'UNKNOWN_KEY') return rename(document, fault.path, suggestion);
  return at(document, fault.path) === undefined ? document : put(document, fault.path, suggestion);
}
