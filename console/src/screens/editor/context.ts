/** What each part of the editor needs. */

import { createContext, useContext } from 'react';

import type { EventType } from '../../api/queries';
import { type DraftFault, faultsAt } from '../../drafts/faults';
import type { JsonObject, Path } from '../../drafts/json';
import type { RecordProperties } from './properties';
import type { Edit } from './useDraft';

export interface EditorState {
  readonly document: JsonObject;
  readonly base: JsonObject;
  readonly faults: readonly DraftFault[];
  readonly edit: Edit;
  readonly events: readonly EventType[];
  /** The properties of the records of an object type, as far as they are known. */
  readonly propertiesOf: (objectTypeId: string) => RecordProperties;
  readonly showJson: () => void;
}

const Context = createContext<EditorState | null>(null);
export const EditorProvider = Context.Provider;

export function useEditor(): EditorState {
  const state = useContext(Context);
  if (state === null) throw new Error('A part of the editor is used outside of it.');
  return state;
}

/** The faults at a path or inside it, except for those inside `others`, which show their own. */
export const useFaults = (path: Path, others: readonly Path[] = []): readonly DraftFault[] =>
  faultsAt(useEditor().faults, path, others);
