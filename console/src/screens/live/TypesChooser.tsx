import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { MOST_EVENT_TYPES } from '../../api/event-queries';
import { eventTypesQuery } from '../../api/queries';
import { Button } from '../../components/Button';
import { CategoryIcon } from '../../components/categories';
import { Modal } from '../../components/Modal';
import { text } from '../../text';

interface TypesChooserProps {
  chosen: readonly string[];
  /** The types that are followed unless others are chosen. */
  ofFlows: readonly string[];
  onChoose: (types: readonly string[]) => void;
  onClose: () => void;
}

/** Choose the event types that are followed: at most as many as one request may name. */
export function TypesChooser({ chosen, ofFlows, onChoose, onClose }: TypesChooserProps) {
  const catalog = useQuery(eventTypesQuery()).data ?? [];
  const [types, setTypes] = useState<ReadonlySet<string>>(new Set(chosen));
  const toggle = (type: string) =>
    setTypes((before) => {
      const next = new Set(before);
      if (!next.delete(type)) next.add(type);
      return next;
    });
  return (
    <Modal
      title={text.live.chooseTypes}
      isOpen
      onClose={onClose}
      actions={
        <>
          <Button look="quiet" onPress={() => setTypes(new Set(ofFlows))}>
            {text.live.typesOfFlows}
          </Button>
          <span className="grow" />
          <Button onPress={onClose}>{text.action.cancel}</Button>
          <Button look="primary" isDisabled={types.size === 0} onPress={() => onChoose([...types])}>
            {text.live.apply}
          </Button>
        </>
      }
    >
      <p className="muted small num">{text.live.typesLimit(MOST_EVENT_TYPES)}</p>
      <ul className="types">
        {catalog.map(({ eventType, label, category }) => (
          <li key={eventType}>
            <label>
              <input
                type="checkbox"
                checked={types.has(eventType)}
                disabled={!types.has(eventType) && types.size >= MOST_EVENT_TYPES}
                onChange={() => toggle(eventType)}
              />
              <CategoryIcon category={category} />
              <span className="grow">{label}</span>
              <code className="muted">{eventType}</code>
            </label>
          </li>
        ))}
      </ul>
    </Modal>
  );
}
