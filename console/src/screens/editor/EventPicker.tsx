import { useState } from 'react';

import type { EventType } from '../../api/queries';
import { CategoryIcon } from '../../components/categories';
import { objectTypeName } from '../../components/records';
import { SearchField } from '../../components/SearchField';
import { editorText as text } from '../../editor-text';
import { text as consoleText } from '../../text';
import { isAllowedFor } from './events';

interface EventPickerProps {
  events: readonly EventType[];
  /** The object type of the flow. Events of other types are listed, and cannot be chosen. */
  objectTypeId: string;
  onChoose: (event: EventType) => void;
}

/** The events of the catalog by category, with a search. */
export function EventPicker({ events, objectTypeId, onChoose }: EventPickerProps) {
  const [search, setSearch] = useState('');
  const categories = [...new Set(events.map((event) => event.category))];
  const [category, setCategory] = useState<string | null>(null);
  const words = search.toLowerCase().split(/\s+/);
  const shown = events.filter((event) => {
    const content = `${event.label} ${event.eventType}`.toLowerCase();
    return search.trim() === ''
      ? event.category === (category ?? categories[0])
      : words.every((word) => content.includes(word));
  });
  return (
    <div className="group pick">
      <SearchField
        label={text.group.chooseHint}
        placeholder={text.group.searchCount(events.length)}
        value={search}
        onChange={setSearch}
        onEnter={() => {
          const first = shown.find((event) => isAllowedFor(event, objectTypeId));
          if (first !== undefined && search.trim() !== '') onChoose(first);
        }}
      />
      <div className="cats" role="group" aria-label={text.group.categories}>
        {categories.map((name) => (
          <button
            key={name}
            type="button"
            aria-pressed={search.trim() === '' && name === (category ?? categories[0])}
            onClick={() => {
              setSearch('');
              setCategory(name);
            }}
          >
            <CategoryIcon category={name} />
            {consoleText.catalog.category[name] ?? name}
          </button>
        ))}
      </div>
      <div className="evs">
        {shown.map((event) => {
          const isAllowed = isAllowedFor(event, objectTypeId);
          return (
            <button key={event.eventType} type="button" disabled={!isAllowed} onClick={() => onChoose(event)}>
              <b>{event.label}</b>
              <code>{event.eventType}</code>
              {!isAllowed && <small>{text.group.notForObject(objectTypeName(objectTypeId))}</small>}
            </button>
          );
        })}
        {shown.length === 0 && <p className="muted">{text.group.noMatch}</p>}
      </div>
    </div>
  );
}
