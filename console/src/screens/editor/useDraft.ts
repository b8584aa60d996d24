/** The draft of a flow: the document that is edited, the one that it began from, and the steps between. */

import { useCallback, useEffect, useState } from 'react';

import { isChanged } from '../../drafts/documents';
import { change, type History, historyOf, redo, undo } from '../../drafts/history';
import { type JsonObject, put, textAt } from '../../drafts/json';
import { forgetDraft, keepDraft, readDraft } from '../../drafts/storage';

export type Edit = (change: (document: JsonObject) => JsonObject, field?: string) => void;

export interface Draft {
  readonly document: JsonObject;
  /** The document from which the draft began. */
  readonly base: JsonObject;
  /** The revision from which the draft began; null: the flow is new. */
  readonly revisionId: string | null;
  readonly isChanged: boolean;
  readonly canUndo: boolean;
  readonly canRedo: boolean;
  /** Whether the draft was kept from an earlier visit. */
  readonly isRestored: boolean;
  /** False: the browser refuses to keep the draft. */
  readonly isKept: boolean;
  /** The field that a change belongs to joins the steps of one word. */
  readonly edit: Edit;
  readonly undo: () => void;
  readonly redo: () => void;
  readonly discard: () => void;
  /** Begin from another document, with another draft or without changes. */
  readonly rebase: (base: JsonObject, draft?: JsonObject) => void;
  readonly forget: () => void;
}

interface State {
  /** The stored document that was seen last. */
  readonly seen: JsonObject;
  readonly base: JsonObject;
  readonly revisionId: string | null;
  readonly history: History<JsonObject>;
  readonly isRestored: boolean;
}

const stateOf = (saved: JsonObject): State => ({
  seen: saved,
  base: saved,
  revisionId: textAt(saved, ['revisionId']) ?? null,
  history: historyOf(saved),
  isRestored: false,
});

/** Continue with the draft of an earlier visit. A draft of an older revision is merged when it is saved. */
function restored(portalId: string, flowId: string | null, saved: JsonObject): State {
  const state = stateOf(saved);
  const kept = readDraft(portalId, flowId);
  if (kept === null || !isChanged(saved, kept.document)) return state;
  return {
    ...state,
    revisionId: kept.revisionId,
    history: change(state.history, kept.document),
    isRestored: true,
  };
}

/** Adopt a newer stored document. The switch of the flow stores one, and changes nothing but `isEnabled`. */
function adopted(state: State, saved: JsonObject): State {
  if (!isChanged(state.base, state.history.present))
    return { ...stateOf(saved), history: { ...state.history, present: saved } };
  const isEnabled = saved.isEnabled ?? false;
  if (isChanged(put(state.base, ['isEnabled'], isEnabled), saved)) return { ...state, seen: saved };
  const present = put(state.history.present, ['isEnabled'], isEnabled);
  return { ...stateOf(saved), history: { ...state.history, present } };
}

/** `saved`: the stored document, or the document that a new flow begins with. */
export function useDraft(portalId: string, flowId: string | null, saved: JsonObject): Draft {
  const [state, setState] = useState<State>(() => restored(portalId, flowId, saved));
  if (state.seen !== saved && state.seen.revisionId !== saved.revisionId) setState(adopted(state, saved));
  const document = state.history.present;
  const hasChanges = isChanged(state.base, document);
  const [isKept, setKept] = useState(true);

  const { revisionId } = state;
  useEffect(() => {
    const timer = setTimeout(() => {
      if (hasChanges) setKept(keepDraft(portalId, flowId, { revisionId, document }));
      else forgetDraft(portalId, flowId);
    }, 200);
    return () => clearTimeout(timer);
  }, [portalId, flowId, revisionId, document, hasChanges]);

  const edit = useCallback<Edit>((apply, field) => {
    setState((current) => ({
      ...current,
      history: change(current.history, apply(current.history.present), field ?? null),
    }));
  }, []);
  const step = useCallback(
    (move: typeof undo<JsonObject>) => setState((current) => ({ ...current, history: move(current.history) })),
    [],
  );
  const rebase = useCallback((base: JsonObject, draft?: JsonObject) => {
    setState((current) => ({ ...stateOf(base), history: change(current.history, draft ?? base) }));
  }, []);
  return {
    document,
    base: state.base,
    revisionId,
    isChanged: hasChanges,
    canUndo: state.history.past.length > 0,
    canRedo: state.history.future.length > 0,
    isRestored: state.isRestored && hasChanges,
    isKept,
    edit,
    undo: useCallback(() => step(undo), [step]),
    redo: useCallback(() => step(redo), [step]),
    discard: useCallback(() => {
      setState((current) => ({ ...stateOf(current.seen), history: change(current.history, current.seen) }));
    }, []),
    rebase,
    forget: useCallback(() => forgetDraft(portalId, flowId), [portalId, flowId]),
  };
}
