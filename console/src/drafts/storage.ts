/** Keeps drafts in the browser, by portal and flow, until they are saved or discarded. They hold flows only. */

import { isObject, type JsonObject, parse, write } from './json';

export interface StoredDraft {
  /** The revision from which the draft began; null: the flow is new. */
  readonly revisionId: string | null;
  readonly document: JsonObject;
}

const keyOf = (portalId: string, flowId: string | null): string => `enroll.draft.${portalId}.${flowId ?? 'new'}`;

export function readDraft(portalId: string, flowId: string | null): StoredDraft | null {
  try {
    const stored = localStorage.getItem(keyOf(portalId, flowId));
    const value = stored === null ? null : parse(stored);
    if (!isObject(value ?? undefined)) return null;
    const { revisionId, document } = value as JsonObject;
    if (!isObject(document) || (revisionId !== null && typeof revisionId !== 'string')) return null;
    return { revisionId, document };
  } catch {
    // Storage may be refused, or have the text of another version.
    return null;
  }
}

/** Keep a draft. False if the browser refused, for example because its storage is full. */
export function keepDraft(portalId: string, flowId: string | null, draft: StoredDraft): boolean {
  try {
    localStorage.setItem(keyOf(portalId, flowId), write({ revisionId: draft.revisionId, document: draft.document }));
    return true;
  } catch {
    return false;
  }
}

export function forgetDraft(portalId: string, flowId: string | null): void {
  try {
    localStorage.removeItem(keyOf(portalId, flowId));
  } catch {
    // Storage is refused, so nothing was kept.
  }
}
