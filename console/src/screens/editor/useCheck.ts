/** Checks the draft at the API after each change. */

import { useEffect, useState } from 'react';

import { checkDocument } from '../../api/drafts';
import { ApiError } from '../../api/errors';
import { draftFaults, type DraftFault } from '../../drafts/faults';
import type { JsonObject } from '../../drafts/json';

const CHECKED_AFTER_MS = 400;

export interface Check {
  /** The document that the answer is about. */
  readonly document: JsonObject;
  readonly explanation: readonly string[];
  readonly warnings: readonly string[];
  readonly faults: readonly DraftFault[];
  /** The request itself failed, so nothing is known. */
  readonly error: Error | null;
}

export interface DraftCheck {
  /** The last answer; null: there is none yet. */
  readonly last: Check | null;
  /** Whether the last answer is about the present draft. */
  readonly isCurrent: boolean;
}

/** Check the draft 400 ms after its last change. */
export function useCheck(document: JsonObject): DraftCheck {
  const [last, setLast] = useState<Check | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(() => {
      checkDocument(document, abort.signal).then(
        (answer) => setLast({ document, ...answer, faults: [], error: null }),
        (error: unknown) => {
          if (!abort.signal.aborted) setLast(refused(document, error));
        },
      );
    }, CHECKED_AFTER_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [document]);
  return { last, isCurrent: last?.document === document };
}

function refused(document: JsonObject, error: unknown): Check {
  const faults = error instanceof ApiError && error.status === 400 ? draftFaults(error.faults) : [];
  return {
    document,
    explanation: [],
    warnings: [],
    faults,
    error: faults.length > 0 ? null : error instanceof Error ? error : new Error(String(error)),
  };
}
