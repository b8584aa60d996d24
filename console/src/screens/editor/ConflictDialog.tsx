import { useState } from 'react';

import { Button } from '../../components/Button';
import { Modal } from '../../components/Modal';
import { Segmented } from '../../components/Segmented';
import { type Json, type JsonObject, write, writePath } from '../../drafts/json';
import { choose, merge, type PartChange } from '../../drafts/merge';
import { editorText as text } from '../../editor-text';
import { PartText } from './PartText';

/** What is known when the API refused to store a draft because another revision was stored. */
export interface Conflict {
  readonly base: JsonObject;
  readonly baseRevision: string;
  readonly theirs: JsonObject;
  readonly revision: string;
  readonly changedBy: string | null;
}

interface ConflictDialogProps {
  conflict: Conflict;
  mine: JsonObject;
  onMerged: (document: JsonObject) => void;
  onTake: () => void;
  onClose: () => void;
}

type Side = 'theirs' | 'mine';

/** Shows each part that differs, and puts both changes together. Nothing is saved here. */
export function ConflictDialog({ conflict, mine, onMerged, onTake, onClose }: ConflictDialogProps) {
  const merged = merge(conflict.base, conflict.theirs, mine);
  const [sides, setSides] = useState<Readonly<Record<string, Side>>>({});
  const isOpen = (part: PartChange): boolean => merged.conflicts.some((other) => other.path === part.path);
  const result = merged.conflicts.reduce(
    (document, part) => choose(document, part, sides[writePath(part.path)] ?? 'theirs'),
    merged.document,
  );
  const isDecided = merged.conflicts.every((part) => sides[writePath(part.path)] !== undefined);
  return (
    <Modal
      title={text.conflict.title}
      isOpen
      onClose={onClose}
      actions={
        <>
          <Button look="quiet" onPress={onClose}>
            {text.conflict.keep}
          </Button>
          <Button onPress={onTake}>{text.conflict.take(conflict.revision)}</Button>
          <Button look="primary" isDisabled={!isDecided} onPress={() => onMerged(result)}>
            {text.conflict.together}
          </Button>
        </>
      }
    >
      <p>
        {text.conflict.explanation(
          conflict.baseRevision,
          conflict.revision,
          conflict.changedBy ?? text.conflict.someone,
        )}
      </p>
      <table className="cmp">
        <thead>
          <tr>
            <th>{text.conflict.part}</th>
            <th>{text.conflict.theirs(conflict.revision)}</th>
            <th>{text.conflict.mine}</th>
          </tr>
        </thead>
        <tbody>
          {merged.changes.map((part) => {
            const name = writePath(part.path);
            const side = sides[name];
            return (
              <tr key={name}>
                <td>
                  <code>{text.conflict.partName(name.slice(2))}</code>
                  {isOpen(part) && (
                    <Segmented<Side | 'open'>
                      label={text.conflict.choice(name)}
                      value={side ?? 'open'}
                      options={[
                        { value: 'theirs', label: text.conflict.theirs(conflict.revision) },
                        { value: 'mine', label: text.conflict.mine },
                      ]}
                      onChange={(chosen) => {
                        if (chosen !== 'open') setSides({ ...sides, [name]: chosen });
                      }}
                    />
                  )}
                </td>
                <td>
                  <PartValue
                    value={part.theirs}
                    base={part.base}
                    label={`${name}, ${text.conflict.theirs(conflict.revision)}`}
                  />
                </td>
                <td>
                  <PartValue value={part.mine} base={part.base} label={`${name}, ${text.conflict.mine}`} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      <p>{merged.conflicts.length === 0 ? text.conflict.togetherHint : text.conflict.chooseHint}</p>
    </Modal>
  );
}

interface PartValueProps {
  value: Json | undefined;
  base: Json | undefined;
  label: string;
}

function PartValue({ value, base, label }: PartValueProps) {
  if (value === base || (value !== undefined && base !== undefined && write(value) === write(base))) {
    return <span className="muted">{text.conflict.same}</span>;
  }
  if (value === undefined) return <b>{text.conflict.removed}</b>;
  return <PartText label={label}>{write(value, true)}</PartText>;
}
