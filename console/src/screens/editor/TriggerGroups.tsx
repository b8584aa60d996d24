import { ArrowDown, ArrowUp, CopyPlus, Ellipsis, Plus, Trash2 } from 'lucide-react';
import { useState } from 'react';

import { Button, IconButton } from '../../components/Button';
import { CategoryIcon } from '../../components/categories';
import { Menu } from '../../components/Menu';
import { Pill } from '../../components/Pill';
import { say } from '../../components/toasts';
import {
  addTriggerGroup,
  duplicateItem,
  EVENT_GROUPS,
  hasTriggers,
  LIST_GROUPS,
  moveItem,
  objectTypeOf,
  propertyFilter,
} from '../../drafts/documents';
import { at, insert, isSame, type Json, listAt, type Path, put, remove, textAt, writePath } from '../../drafts/json';
import { firstMeaning, meaningsOf, newOperation } from '../../drafts/operations';
import { editorText as text } from '../../editor-text';
import { useEditor, useFaults } from './context';
import { EventPicker } from './EventPicker';
import { eventOf } from './events';
import { FaultLines } from './FaultLines';
import { SelectInput, TextInput } from './fields';
import { FilterRow } from './FilterRow';
import { focusPath } from './focusing';

/** The trigger groups, one of which is enough. Without a group, the choice of an event is open. */
export function TriggerGroups() {
  const { document, edit, events } = useEditor();
  const [isChoosing, setChoosing] = useState(false);
  const eventGroups = listAt(document, EVENT_GROUPS);
  const listGroups = listAt(document, LIST_GROUPS);
  const isEmpty = !hasTriggers(document);
  const faults = useFaults(['enrollmentCriteria']).filter((fault) => fault.path.length < 2 && !isEmpty);
  return (
    <section className="step" aria-label={text.group.title}>
      {eventGroups.map((group, index) => (
        <div key={index} className="alternative">
          {index > 0 && <Or />}
          <EventGroup index={index} group={group} count={eventGroups.length} />
        </div>
      ))}
      {listGroups.map((group, index) => (
        <div key={index} className="alternative">
          {eventGroups.length + index > 0 && <Or />}
          <ListGroup index={index} group={group} count={listGroups.length} />
        </div>
      ))}
      <FaultLines faults={faults} />
      {isChoosing || isEmpty ? (
        <EventPicker
          events={events}
          objectTypeId={objectTypeOf(document)}
          onChoose={(event) => {
            setChoosing(false);
            const isList = event.writtenIn === 'listMembershipFilterBranches';
            edit((draft) => addTriggerGroup(draft, event));
            if (isList) focusPath(writePath([...LIST_GROUPS, listGroups.length]));
            else focusPath(writePath([...EVENT_GROUPS, eventGroups.length, 'add']));
          }}
        />
      ) : (
        <Button icon={Plus} onPress={() => setChoosing(true)}>
          {text.group.add}
        </Button>
      )}
    </section>
  );
}

export function Or() {
  return (
    <div className="or-divider">
      <span>{text.group.or}</span>
    </div>
  );
}

interface GroupProps {
  index: number;
  group: Json;
  /** How many groups the list has. */
  count: number;
}

/** Whether a part is new or differs in the document that the draft began from. */
export const isNewIn = (base: Json, path: Path, value: Json): boolean => {
  const list = listAt(base, path.slice(0, -1));
  return !list.some((item) => isSame(item, value));
};

function EventGroup({ index, group, count }: GroupProps) {
  const { base, edit, events } = useEditor();
  const path: Path = [...EVENT_GROUPS, index];
  const eventTypeId = textAt(group, ['eventTypeId']);
  const event = eventOf(events, eventTypeId);
  const filters = listAt(group, ['filters']);
  const rows = filters.map((_, row) => [...path, 'filters', row] as Path);
  const faults = useFaults(path, rows);
  const isChanged = isNewIn(base, path, group);
  const name = event?.label ?? text.group.unknownEvent(eventTypeId ?? '');

  function add(): void {
    const meanings = meaningsOf(event?.properties[0]?.operations ?? []);
    const first = firstMeaning(meanings, event?.properties[0]?.type);
    const filter = propertyFilter('', first === undefined ? {} : newOperation(first));
    edit((document) => insert(document, [...path, 'filters'], filter));
    focusPath(writePath([...path, 'filters', filters.length, 'property']));
  }

  return (
    <div className={`group ${isChanged ? 'changed' : ''}`} role="group" aria-label={name}>
      <header>
        <CategoryIcon category={event?.category} />
        <b>{name}</b>
        <code className="truncate">{event?.eventType ?? eventTypeId}</code>
        {isChanged && (
          <Pill tone="info" icon={null}>
            {text.group.isNew}
          </Pill>
        )}
        <span className="grow" />
        <GroupMenu list={EVENT_GROUPS} index={index} count={count} name={name} />
      </header>
      <div className="rules">
        {filters.map((filter, row) => (
          <FilterRow
            key={row}
            path={[...path, 'filters', row]}
            filter={filter}
            subject={{ kind: 'event', event }}
            joint={row === 0 ? text.group.where : text.group.and}
            onRemove={() => edit((document) => remove(document, [...path, 'filters', row]))}
          />
        ))}
        <FaultLines faults={faults} />
        {event !== undefined && event.properties.length === 0 ? (
          <p className="muted add-rule">{text.group.noProperties}</p>
        ) : (
          <span className="add-rule">
            <button type="button" className="btn quiet small" data-path={writePath([...path, 'add'])} onClick={add}>
              <Plus size={14} strokeWidth={1.8} aria-hidden />
              {text.group.addRefinement}
            </button>
          </span>
        )}
      </div>
    </div>
  );
}

function ListGroup({ index, group, count }: GroupProps) {
  const { base, edit } = useEditor();
  const path: Path = [...LIST_GROUPS, index];
  const faults = useFaults(path);
  const filter: Path = [...path, 'filters', 0];
  const listId = at(group, ['filters', 0, 'listId']);
  const isChanged = isNewIn(base, path, group);
  return (
    <div className={`group ${isChanged ? 'changed' : ''}`} role="group" aria-label={text.group.list}>
      <header>
        <CategoryIcon category="lists" />
        <b>{text.group.list}</b>
        {isChanged && (
          <Pill tone="info" icon={null}>
            {text.group.isNew}
          </Pill>
        )}
        <span className="grow" />
        <GroupMenu list={LIST_GROUPS} index={index} count={count} name={text.group.list} />
      </header>
      <div className="rules">
        <div className="rule">
          <span className="j" />
          <SelectInput
            label={text.rule.membership}
            path={[...filter, 'operator']}
            value={textAt(group, ['filters', 0, 'operator']) ?? 'IN_LIST'}
            choices={[
              { value: 'IN_LIST', label: text.group.added },
              { value: 'NOT_IN_LIST', label: text.group.removedFromList },
            ]}
            onChange={(operator) => edit((document) => put(document, [...filter, 'operator'], operator))}
          />
          <span className="wide-field">
            <TextInput
              label={text.group.listId}
              path={[...filter, 'listId']}
              isBad={faults.length > 0}
              value={typeof listId === 'string' || typeof listId === 'number' ? String(listId) : ''}
              placeholder={text.group.listId}
              onChange={(id) => edit((document) => put(document, [...filter, 'listId'], id), `list ${index}`)}
            />
          </span>
        </div>
        <FaultLines faults={faults} />
      </div>
    </div>
  );
}

interface GroupMenuProps {
  list: Path;
  index: number;
  count: number;
  name: string;
}

/** What can be done with an item of a list: a trigger group or a filter group. */
export function GroupMenu({ list, index, count, name, onRemove }: GroupMenuProps & { onRemove?: () => void }) {
  const { edit } = useEditor();
  return (
    <Menu
      label={text.group.more(name)}
      actions={[
        {
          id: 'duplicate',
          label: text.group.duplicate,
          icon: CopyPlus,
          run: () => edit((document) => duplicateItem(document, list, index)),
        },
        {
          id: 'up',
          label: text.group.moveUp,
          icon: ArrowUp,
          isDisabled: index === 0,
          run: () => edit((document) => moveItem(document, list, index, -1)),
        },
        {
          id: 'down',
          label: text.group.moveDown,
          icon: ArrowDown,
          isDisabled: index === count - 1,
          run: () => edit((document) => moveItem(document, list, index, 1)),
        },
        {
          id: 'remove',
          label: text.group.remove,
          icon: Trash2,
          isDanger: true,
          run:
            onRemove ??
            (() => {
              edit((document) => remove(document, [...list, index]));
              say(text.group.removed);
            }),
        },
      ]}
    >
      <IconButton icon={Ellipsis} label={text.group.more(name)} />
    </Menu>
  );
}
