import { Ellipsis, Braces, X } from 'lucide-react';

import type { EventType } from '../../api/queries';
import { Button, IconButton } from '../../components/Button';
import { Menu } from '../../components/Menu';
import { at, type Json, type JsonObject, type Path, put, remove, textAt, update } from '../../drafts/json';
import { isWithin } from '../../drafts/json';
import {
  type AllowedOperation,
  firstMeaning,
  type Meaning,
  meaningOf,
  meaningsOf,
  operationOf,
  operationsOfType,
  type PropertyType,
  withMeaning,
} from '../../drafts/operations';
import { editorText as text } from '../../editor-text';
import { useEditor, useFaults } from './context';
import { FaultLines } from './FaultLines';
import { type Choice, SelectInput, TextInput } from './fields';
import { OperandFields } from './OperandFields';

/** Whose properties a filter is about: those of an event, or those of a record. */
export type Subject =
  | { readonly kind: 'event'; readonly event: EventType | undefined }
  | { readonly kind: 'record'; readonly objectTypeId: string };

interface FilterRowProps {
  /** The path of the filter. */
  path: Path;
  filter: Json;
  subject: Subject;
  /** "where", "and", "all of": before the row. */
  joint: string;
  onRemove: () => void;
}

/** One filter. A filter of a type that the editor does not know is kept, and can be removed. */
export function FilterRow({ path, filter, subject, joint, onRemove }: FilterRowProps) {
  const faults = useFaults(path);
  const type = textAt(filter, ['filterType']);
  return (
    <div className="rule-lines" data-path-row={path.join('.')}>
      {type === 'PROPERTY' ? (
        <PropertyRow path={path} filter={filter} subject={subject} joint={joint} onRemove={onRemove} />
      ) : type === 'IN_LIST' && isPlainList(filter) ? (
        <ListRow path={path} filter={filter} joint={joint} onRemove={onRemove} />
      ) : (
        <OtherRow filter={filter} joint={joint} onRemove={onRemove} />
      )}
      <FaultLines faults={faults} />
    </div>
  );
}

/** `metadata` makes a filter on a list one on another flow or an import. */
const isPlainList = (filter: Json): boolean => at(filter, ['metadata']) === undefined;

type RowProps = Omit<FilterRowProps, 'subject'>;

function PropertyRow({ path, filter, subject, joint, onRemove }: FilterRowProps) {
  const { edit, propertiesOf } = useEditor();
  const faults = useFaults(path);
  const property = textAt(filter, ['property']) ?? '';
  const operation = operationOf(filter);
  const known = propertyOf(property);
  const meanings = meaningsOf(known.allowed);
  const meaning = meaningOf(operation);
  const isBad = (...keys: string[]): boolean =>
    faults.some((fault) => keys.some((key) => isWithin(fault.path, [...path, ...key.split('.')])));

  function propertyOf(name: string): {
    type: string | undefined;
    allowed: readonly AllowedOperation[];
    options: readonly Choice[];
  } {
    if (subject.kind === 'event') {
      const found = subject.event?.properties.find((entry) => entry.name === name);
      return {
        type: found?.type,
        allowed: found?.operations ?? [],
        options: (found?.options ?? []).map((value) => ({ value, label: value })),
      };
    }
    const found = propertiesOf(subject.objectTypeId).get(name);
    return {
      type: found?.type,
      allowed: found?.operations ?? operationsOfType(found?.type as PropertyType | undefined),
      options: found?.options ?? [],
    };
  }

  /** Another property keeps the operation if it allows it. */
  function setProperty(name: string): void {
    const next = propertyOf(name);
    const offered = meaningsOf(next.allowed);
    const first = firstMeaning(offered, next.type);
    const isKept = meaning !== null && offered.some((other) => other.id === meaning.id) && next.type === known.type;
    edit(
      (document) => {
        const named = put(document, [...path, 'property'], name);
        return isKept || first === undefined
          ? named
          : update(named, [...path, 'operation'], () => withMeaning(operation, first));
      },
      `${path.join('.')} property`,
    );
  }

  const setMeaning = (id: string): void => {
    const next = meanings.find((other) => other.id === id);
    if (next !== undefined) edit((document) => put(document, [...path, 'operation'], withMeaning(operation, next)));
  };

  return (
    <div className="rule">
      <span className="j">{joint}</span>
      {subject.kind === 'event' ? (
        <SelectInput
          label={text.rule.property}
          path={[...path, 'property']}
          isBad={isBad('property')}
          value={property}
          placeholder={text.rule.chooseProperty}
          choices={(subject.event?.properties ?? []).map(({ name, label }) => ({ value: name, label }))}
          onChange={setProperty}
        />
      ) : (
        <TextInput
          label={text.rule.property}
          path={[...path, 'property']}
          isBad={isBad('property')}
          value={property}
          placeholder={text.rule.propertyHint}
          suggestions={[...propertiesOf(subject.objectTypeId).values()].map(({ name, label }) => ({
            value: name,
            label,
          }))}
          onChange={setProperty}
        />
      )}
      <SelectInput
        label={text.rule.operator}
        path={[...path, 'operation', 'operator']}
        isBad={isBad('operation.operator', 'operation.operationType')}
        value={
          meaning?.id ?? `${textAt(operation, ['operationType']) ?? ''} ${textAt(operation, ['operator']) ?? ''}`.trim()
        }
        choices={operatorChoices(meanings, meaning, operation)}
        onChange={setMeaning}
      />
      <OperandFields
        path={[...path, 'operation']}
        operation={operation}
        editor={meaning?.editor ?? null}
        options={known.options}
        isBad={isBad('operation') && !isBad('operation.operator', 'operation.operationType')}
        onChange={(next) =>
          edit((document) => put(document, [...path, 'operation'], next), `${path.join('.')} operand`)
        }
      />
      <RowActions path={path} filter={filter} onRemove={onRemove} />
      {operation.includeObjectsWithNoValueSet === true && <p className="also">{text.rule.withoutValueShown}</p>}
    </div>
  );
}

const wordsOf = (meaning: Pick<Meaning, 'id' | 'operator'>): string =>
  text.rule.operators[meaning.id] ?? text.rule.operators[meaning.operator] ?? meaning.operator;

/** The operators of the menu. The one of the document is among them, even if the property does not allow it. */
function operatorChoices(
  meanings: readonly Meaning[],
  present: Meaning | null,
  operation: JsonObject,
): readonly Choice[] {
  const choices = meanings.map((meaning) => ({
    value: meaning.id,
    label: wordsOf(meaning),
    group: text.rule.type[meaning.operationType] ?? meaning.operationType,
  }));
  if (present !== null && !meanings.some((meaning) => meaning.id === present.id)) {
    const group = text.rule.type[present.operationType] ?? present.operationType;
    return [...choices, { value: present.id, label: wordsOf(present), group }];
  }
  if (present === null && textAt(operation, ['operator']) !== undefined) {
    const [type, operator] = [textAt(operation, ['operationType']) ?? '', textAt(operation, ['operator']) ?? ''];
    const value = `${type} ${operator}`.trim();
    return [...choices, { value, label: wordsOf({ id: value, operator }), group: type }];
  }
  return choices;
}

function RowActions({ path, filter, onRemove }: { path: Path; filter: Json; onRemove: () => void }) {
  const { edit } = useEditor();
  const flag: Path = [...path, 'operation', 'includeObjectsWithNoValueSet'];
  const isIncluded = at(filter, ['operation', 'includeObjectsWithNoValueSet']) === true;
  return (
    <span className="rule-actions">
      <Menu
        label={text.rule.more}
        actions={[
          {
            id: 'no value',
            label: isIncluded ? text.rule.requireValue : text.rule.withoutValue,
            run: () => edit((document) => put(document, flag, !isIncluded)),
          },
          { id: 'remove', label: text.filters.removeFilter, icon: X, isDanger: true, run: onRemove },
        ]}
      >
        <IconButton icon={Ellipsis} label={text.rule.more} />
      </Menu>
      <IconButton icon={X} label={text.filters.removeFilter} onPress={onRemove} />
    </span>
  );
}

function ListRow({ path, filter, joint, onRemove }: RowProps) {
  const { edit } = useEditor();
  const faults = useFaults(path);
  const listId = at(filter, ['listId']);
  return (
    <div className="rule">
      <span className="j">{joint}</span>
      <SelectInput
        label={text.rule.membership}
        path={[...path, 'operator']}
        value={textAt(filter, ['operator']) ?? 'IN_LIST'}
        choices={[
          { value: 'IN_LIST', label: text.rule.member },
          { value: 'NOT_IN_LIST', label: text.rule.notMember },
        ]}
        onChange={(operator) => edit((document) => put(document, [...path, 'operator'], operator))}
      />
      <span className="wide-field">
        <TextInput
          label={text.group.listId}
          path={[...path, 'listId']}
          isBad={faults.length > 0}
          value={typeof listId === 'string' || typeof listId === 'number' ? String(listId) : ''}
          placeholder={text.group.listId}
          onChange={(id) => edit((document) => put(document, [...path, 'listId'], id), `${path.join('.')} list`)}
        />
      </span>
      <IconButton icon={X} label={text.filters.removeFilter} onPress={onRemove} />
    </div>
  );
}

function OtherRow({ filter, joint, onRemove }: Omit<RowProps, 'path'>) {
  const { showJson } = useEditor();
  const type = textAt(filter, ['filterType']) ?? '';
  const accepts = at(filter, ['shouldAccept']);
  return (
    <div className="rule">
      <span className="j">{joint}</span>
      <span className="other">
        {type === 'CONSTANT' && typeof accepts === 'boolean' ? (
          <b>{accepts ? text.rule.always : text.rule.never}</b>
        ) : (
          <>
            <b>{text.rule.kept(type)}</b>{' '}
            <code className="truncate">{JSON.stringify(remove(filter, ['filterType']))}</code>
          </>
        )}
        <Button isSmall look="quiet" icon={Braces} onPress={showJson}>
          {text.rule.asJson}
        </Button>
      </span>
      <IconButton icon={X} label={text.filters.removeFilter} onPress={onRemove} />
    </div>
  );
}
