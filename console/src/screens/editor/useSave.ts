/** Saves a draft, and says what is to be decided if the API refuses. */

import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import { documentQuery, newestAuthor, readDocument, readRevision, saveDocument } from '../../api/drafts';
import { ApiError } from '../../api/errors';
import { flowsQuery } from '../../api/queries';
import { messageOf } from '../../components/states';
import { say } from '../../components/toasts';
import { nameOf } from '../../drafts/documents';
import { type JsonObject, textAt } from '../../drafts/json';
import { editorText as text } from '../../editor-text';
import type { Conflict } from './ConflictDialog';
import type { Draft } from './useDraft';

/** The code of the fault that names the triggers which would be lost. */
const TRIGGERS_REPLACED = 'TRIGGERS_REPLACED';

export interface Save {
  readonly isPending: boolean;
  readonly save: () => void;
  /** Someone else stored a revision meanwhile. */
  readonly conflict: Conflict | null;
  readonly closeConflict: () => void;
  /** What saving would remove, in the words of the API. Null: there is no question to the user. */
  readonly replaces: string | null;
  readonly confirmReplace: () => void;
  readonly cancelReplace: () => void;
  /** The user has confirmed in the editor that triggers are removed. */
  readonly allowReplace: () => void;
}

export function useSave(flowId: string | null, draft: Draft, onCreated: (flowId: string) => void): Save {
  const client = useQueryClient();
  const [conflict, setConflict] = useState<Conflict | null>(null);
  const [replaces, setReplaces] = useState<string | null>(null);
  const [isAllowed, setAllowed] = useState(false);

  async function stored(document: JsonObject): Promise<void> {
    const id = textAt(document, ['id']) ?? '';
    client.setQueryData(documentQuery(id).queryKey, document);
    setAllowed(false);
    setReplaces(null);
    draft.rebase(document);
    draft.forget();
    if (flowId === null) {
      say(text.created(nameOf(document)));
      onCreated(id);
    } else say(text.saved(textAt(document, ['revisionId']) ?? ''));
    await Promise.all([
      client.invalidateQueries({ queryKey: flowsQuery().queryKey }),
      client.invalidateQueries({ queryKey: ['flow', id, 'revisions'] }),
    ]);
  }

  async function refused(error: Error): Promise<void> {
    if (!(error instanceof ApiError) || error.status !== 409 || flowId === null) {
      say(messageOf(error), 'bad');
      return;
    }
    const replaced = error.faults.filter((fault) => fault.code === TRIGGERS_REPLACED);
    if (replaced.length > 0) {
      setReplaces(replaced.map((fault) => fault.message).join(' '));
      return;
    }
    try {
      setConflict(await conflictOf(flowId, draft));
    } catch (reason) {
      say(messageOf(reason instanceof Error ? reason : error), 'bad');
    }
  }

  const saving = useMutation({
    mutationFn: (replaceTriggers: boolean) =>
      saveDocument(
        flowId,
        draft.revisionId === null ? draft.document : { ...draft.document, revisionId: draft.revisionId },
        replaceTriggers,
      ),
    onSuccess: stored,
    onError: refused,
  });
  return {
    isPending: saving.isPending,
    save: () => saving.mutate(isAllowed),
    conflict,
    closeConflict: () => setConflict(null),
    replaces,
    confirmReplace: () => saving.mutate(true),
    cancelReplace: () => setReplaces(null),
    allowReplace: () => setAllowed(true),
  };
}

/** Read what the merge needs: the newest document, the one that the draft began from, and who stored the newest. */
async function conflictOf(flowId: string, draft: Draft): Promise<Conflict> {
  const baseRevision = draft.revisionId ?? '';
  const [theirs, base, changedBy] = await Promise.all([
    readDocument(flowId),
    readRevision(flowId, baseRevision),
    newestAuthor(flowId),
  ]);
  return {
    base: base ?? draft.base,
    baseRevision,
    theirs,
    revision: textAt(theirs, ['revisionId']) ?? '',
    changedBy,
  };
}
