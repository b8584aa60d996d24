import { Plus, X } from 'lucide-react';

import { Button, IconButton } from '../../components/Button';
import { objectTypeName } from '../../components/records';
import { associationKind, OBJECT_TYPES } from '../../drafts/associations';
import {
  addFilterGroup,
  associationBranch,
  groupsOf,
  listFilter,
  negationBranch,
  objectTypeOf,
  propertyFilter,
  removeFilterGroup,
} from '../../drafts/documents';
import {
  at,
  insert,
  isObject,
  isSame,
  type Json,
  type JsonObject,
  listAt,
  type Path,
  put,
  remove,
  textAt,
  update,
  writePath,
} from '../../drafts/json';
import { firstMeaning, meaningsOf, newOperation, operationsOfType, readNumber } from '../../drafts/operations';
import { editorText as text } from '../../editor-text';
import { useEditor, useFaults } from './context';
import { FaultLines } from './FaultLines';
import { SelectInput, TextInput } from './fields';
import { FilterRow } from './FilterRow';
import { focusPath } from './focusing';
import { GroupMenu, isNewIn, Or } from './TriggerGroups';

interface CriteriaTreeProps {
  /** The path of the tree's root. */
  root: Path;
  /** The words of the button that adds the first group. */
  addLabel?: string;
}

/** The first filter of a group: a property that is still to be named. */
export function newFilter(): JsonObject {
  const first = firstMeaning(meaningsOf(operationsOfType(undefined)), undefined);
  return propertyFilter('', first === undefined ? {} : newOperation(first));
}

/** Filters on records: groups that are combined with OR, and filters that are combined with AND in each. */
export function CriteriaTree({ root, addLabel = text.filters.addGroup }: CriteriaTreeProps) {
  const { document, edit } = useEditor();
  const groups = groupsOf(document, root);
  const faults = useFaults(root, groups);
  return (
    <div className="crit">
      {groups.map((path, index) => (
        <div key={index} className="alternative">
          {index > 0 && <Or />}
          <FilterGroup root={root} path={path} index={index} count={groups.length} />
        </div>
      ))}
      <FaultLines faults={faults} />
      <Button
        icon={Plus}
        onPress={() => {
          edit((draft) => addFilterGroup(draft, root, [newFilter()]));
          // A root that is one group becomes the first group of an OR.
          const place = groups.length;
          focusPath(writePath([...root, 'filterBranches', place, 'filters', 0, 'property']));
        }}
      >
        {groups.length === 0 ? addLabel : text.filters.addGroup}
      </Button>
    </div>
  );
}

function FilterGroup({ root, path, index, count }: { root: Path; path: Path; index: number; count: number }) {
  const { document, base, edit } = useEditor();
  const branch = at(document, path) ?? null;
  const isRoot = isSame([...root], [...path]);
  const isChanged = isRoot ? !isSame(at(base, root), branch) : isNewIn(base, path, branch);
  const name = text.filters.group(index + 1);
  const removeGroup = (): void => edit((draft) => removeFilterGroup(draft, root, path));
  return (
    <div className={`group ${isChanged ? 'changed' : ''}`} role="group" aria-label={name}>
      <div className="rules with-menu">
        <BranchContent path={path} branch={branch} objectTypeId={objectTypeOf(document)} mayNest />
        <span className="group-menu">
          {isRoot ? (
            <IconButton icon={X} label={text.filters.removeGroup} onPress={removeGroup} />
          ) : (
            <GroupMenu
              list={[...root, 'filterBranches']}
              index={index}
              count={count}
              name={name}
              onRemove={removeGroup}
            />
          )}
        </span>
      </div>
    </div>
  );
}

interface BranchContentProps {
  path: Path;
  branch: Json;
  /** The records that the filters are about. */
  objectTypeId: string;
  /** Whether branches can be added: an associated record has filters only. */
  mayNest: boolean;
}

const JOINTS: Readonly<Record<string, { first: string; next: string }>> = {
  AND: { first: text.filters.allOf, next: text.filters.and },
  OR: { first: text.filters.anyOf, next: text.filters.or },
  NOT_ANY: { first: text.filters.noneOf, next: text.filters.or },
  NOT_ALL: { first: text.filters.notAll, next: text.filters.and },
  ASSOCIATION: { first: text.group.where, next: text.filters.and },
};

const AND = { first: text.filters.allOf, next: text.filters.and };

/** The filters and the branches of one branch, and the buttons that add one. */
function BranchContent({ path, branch, objectTypeId, mayNest }: BranchContentProps) {
  const { edit } = useEditor();
  const filters = listAt(branch, ['filters']);
  const branches = listAt(branch, ['filterBranches']);
  const inner: readonly Path[] = [
    ...filters.map((_, index) => [...path, 'filters', index]),
    ...branches.map((_, index) => [...path, 'filterBranches', index]),
  ];
  const faults = useFaults(path, inner);
  const joints = JOINTS[textAt(branch, ['filterBranchType']) ?? ''] ?? AND;

  function add(key: 'filters' | 'filterBranches', item: JsonObject, field: string): void {
    const amount = key === 'filters' ? filters.length : branches.length;
    edit((document) => insert(document, [...path, key], item));
    focusPath(writePath([...path, key, amount, field]));
  }

  return (
    <div className="branch">
      {filters.map((filter, index) => (
        <FilterRow
          key={index}
          path={[...path, 'filters', index]}
          filter={filter}
          subject={{ kind: 'record', objectTypeId }}
          joint={index === 0 ? joints.first : joints.next}
          onRemove={() => edit((document) => remove(document, [...path, 'filters', index]))}
        />
      ))}
      {branches.map((item, index) => (
        <InnerBranch key={index} path={[...path, 'filterBranches', index]} branch={item} objectTypeId={objectTypeId} />
      ))}
      <FaultLines faults={faults} />
      <div className="add-rule">
        <Button isSmall look="quiet" icon={Plus} onPress={() => add('filters', newFilter(), 'property')}>
          {text.filters.addProperty}
        </Button>
        <Button isSmall look="quiet" icon={Plus} onPress={() => add('filters', listFilter(''), 'listId')}>
          {text.filters.addList}
        </Button>
        {mayNest && (
          <>
            <Button
              isSmall
              look="quiet"
              icon={Plus}
              onPress={() => {
                const [other] = OBJECT_TYPES.filter((id) => id !== objectTypeId);
                add('filterBranches', associationBranch(associationKind(objectTypeId, other ?? '0-2')), 'operator');
              }}
            >
              {text.filters.addAssociation}
            </Button>
            <Button
              isSmall
              look="quiet"
              icon={Plus}
              onPress={() => add('filterBranches', negationBranch('NOT_ANY', [newFilter()]), 'filterBranchType')}
            >
              {text.filters.addExclusion}
            </Button>
          </>
        )}
      </div>
    </div>
  );
}

interface InnerBranchProps {
  path: Path;
  branch: Json;
  objectTypeId: string;
}

function InnerBranch({ path, branch, objectTypeId }: InnerBranchProps) {
  const { edit } = useEditor();
  const type = textAt(branch, ['filterBranchType']);
  const removeBranch = (): void => edit((document) => remove(document, path));
  if (type === 'ASSOCIATION')
    return <Association path={path} branch={branch} from={objectTypeId} onRemove={removeBranch} />;
  const isNegation = type === 'NOT_ANY' || type === 'NOT_ALL';
  return (
    <div className="sub" role="group" aria-label={isNegation ? text.filters.exclusion : (type ?? '')}>
      <div className="sub-head">
        {isNegation ? (
          <SelectInput
            label={text.filters.exclusionType}
            path={[...path, 'filterBranchType']}
            value={type}
            choices={[
              { value: 'NOT_ANY', label: text.filters.noneOf },
              { value: 'NOT_ALL', label: text.filters.notAll },
            ]}
            onChange={(next) =>
              edit((document) =>
                update(document, path, (present) => ({
                  ...(isObject(present) ? present : {}),
                  filterBranchType: next,
                  filterBranchOperator: next,
                })),
              )
            }
          />
        ) : (
          <b>{type}</b>
        )}
        <span className="grow">{isNegation && text.filters.exclusionHint}</span>
        <IconButton icon={X} label={text.filters.removeGroup} onPress={removeBranch} />
      </div>
      <BranchContent path={path} branch={branch} objectTypeId={objectTypeId} mayNest={false} />
    </div>
  );
}

function Association({
  path,
  branch,
  from,
  onRemove,
}: {
  path: Path;
  branch: Json;
  from: string;
  onRemove: () => void;
}) {
  const { edit } = useEditor();
  const objectTypeId = textAt(branch, ['objectTypeId']) ?? '';
  const typeId = at(branch, ['associationTypeId']);
  return (
    <div className="sub" role="group" aria-label={text.filters.association}>
      <div className="sub-head">
        <SelectInput
          label={text.filters.associationOperator}
          path={[...path, 'operator']}
          value={textAt(branch, ['operator']) ?? 'IN_LIST'}
          choices={[
            { value: 'IN_LIST', label: text.filters.atLeastOne },
            { value: 'NOT_IN_LIST', label: text.filters.noAssociated },
          ]}
          onChange={(operator) => edit((document) => put(document, [...path, 'operator'], operator))}
        />
        <SelectInput
          label={text.filters.object}
          path={[...path, 'objectTypeId']}
          value={objectTypeId}
          choices={OBJECT_TYPES.map((id) => ({ value: id, label: objectTypeName(id) }))}
          onChange={(id) =>
            edit((document) =>
              update(document, path, (present) => ({
                ...(isObject(present) ? present : {}),
                ...associationKind(from, id),
              })),
            )
          }
        />
        <TextInput
          label={text.filters.label}
          path={[...path, 'associationTypeId']}
          value={typeof typeId === 'number' || typeof typeId === 'string' ? String(typeId) : ''}
          onChange={(id) =>
            edit((document) => put(document, [...path, 'associationTypeId'], readNumber(id)), `${path.join('.')} label`)
          }
        />
        <IconButton icon={X} label={text.filters.removeGroup} onPress={onRemove} />
      </div>
      <p className="muted">{text.filters.has}</p>
      <BranchContent path={path} branch={branch} objectTypeId={objectTypeId} mayNest={false} />
    </div>
  );
}
