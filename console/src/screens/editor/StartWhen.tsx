import { useState } from 'react';

import { Button } from '../../components/Button';
import { Modal } from '../../components/Modal';
import {
  CRITERIA,
  isChanged,
  partsRemovedBy,
  type TriggerType,
  triggerTypeOf,
  withTriggerType,
} from '../../drafts/documents';
import { textAt } from '../../drafts/json';
import { editorText as text } from '../../editor-text';
import { text as consoleText } from '../../text';
import { useEditor } from './context';

type ChosenType = Exclude<TriggerType, 'SCHEDULE'>;
const TYPES: readonly ChosenType[] = ['EVENT_BASED', 'LIST_BASED', 'MANUAL'];

interface StartWhenProps {
  isNew: boolean;
  /** The user confirmed that the triggers of another type are removed. */
  onReplace: () => void;
}

/** The trigger type. In a new flow the types are visible; later a dialog says what a change removes. */
export function StartWhen({ isNew, onReplace }: StartWhenProps) {
  const { document, base, edit } = useEditor();
  const [asked, setAsked] = useState<ChosenType | null>(null);
  const type = triggerTypeOf(document);
  const removed = asked === null ? [] : partsRemovedBy(document, asked);

  /** A change that removes nothing needs no confirmation. */
  function choose(next: ChosenType): void {
    if (next === type) return;
    if (partsRemovedBy(document, next).length > 0) setAsked(next);
    else edit((draft) => withTriggerType(draft, next));
  }

  return (
    <section className="step" aria-label={text.start.title}>
      <header className="steph">
        <h2>{text.start.title}</h2>
        <small>{text.start.hint}</small>
      </header>
      {isNew ? (
        <div className="trigger-kinds" role="radiogroup" aria-label={text.start.title}>
          {TYPES.map((option) => (
            <ChoiceCard
              key={option}
              isChosen={option === type}
              label={text.start.type[option]}
              detail={text.start.detail[option]}
              onChoose={() => choose(option)}
            />
          ))}
        </div>
      ) : (
        <div className="group type">
          <div className="grow">
            <b>
              {type === null
                ? text.start.unknown(textAt(document, [...CRITERIA, 'type']) ?? '')
                : text.start.type[type]}
            </b>
            {type !== null && <small>{text.start.detail[type]}</small>}
          </div>
          <Button look="quiet" onPress={() => setAsked(type === 'EVENT_BASED' ? 'LIST_BASED' : 'EVENT_BASED')}>
            {text.start.change}
          </Button>
        </div>
      )}
      <Modal
        title={text.start.confirmTitle}
        role="alertdialog"
        isOpen={asked !== null}
        onClose={() => setAsked(null)}
        actions={
          <>
            <Button onPress={() => setAsked(null)}>{consoleText.action.cancel}</Button>
            <Button
              look="primary"
              onPress={() => {
                if (asked === null) return;
                edit((draft) => withTriggerType(draft, asked));
                if (isChanged(base, withTriggerType(base, asked))) onReplace();
                setAsked(null);
              }}
            >
              {text.start.confirm}
            </Button>
          </>
        }
      >
        {!isNew && (
          <div className="trigger-kinds" role="radiogroup" aria-label={text.start.chosen}>
            {TYPES.filter((option) => option !== type).map((option) => (
              <ChoiceCard
                key={option}
                isChosen={option === asked}
                label={text.start.type[option]}
                detail={text.start.detail[option]}
                onChoose={() => setAsked(option)}
              />
            ))}
          </div>
        )}
        {removed.length === 0 ? (
          <p>{text.start.removesNothing}</p>
        ) : (
          <>
            <p>{text.start.removes}</p>
            <ul className="bullets">
              {removed.map(({ key, amount }) => (
                <li key={key}>{text.start.part(key, amount)}</li>
              ))}
            </ul>
          </>
        )}
        <p>{text.start.notRetroactive}</p>
      </Modal>
    </section>
  );
}

interface ChoiceCardProps {
  isChosen: boolean;
  label: string;
  detail: string;
  onChoose: () => void;
}

/** One of a few choices, all of which are visible. */
export function ChoiceCard({ isChosen, label, detail, onChoose }: ChoiceCardProps) {
  return (
    <button type="button" className="choice" role="radio" aria-checked={isChosen} onClick={onChoose}>
      <i aria-hidden />
      <span>
        <b>{label}</b>
        <small>{detail}</small>
      </span>
    </button>
  );
}
