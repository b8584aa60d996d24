/** Changes of a flow document. Each is a function from a document to a document, and keeps every key it does not name. */

import {
  at,
  insert,
  isList,
  isObject,
  isSame,
  type Json,
  type JsonObject,
  listAt,
  move,
  type Path,
  put,
  remove,
  textAt,
} from './json';

export const CRITERIA: Path = ['enrollmentCriteria'];
export const EVENT_GROUPS: Path = [...CRITERIA, 'eventFilterBranches'];
export const LIST_GROUPS: Path = [...CRITERIA, 'listMembershipFilterBranches'];
export const REFINEMENT: Path = [...CRITERIA, 'refinementCriteria'];
export const LIST_CRITERIA: Path = [...CRITERIA, 'listFilterBranch'];
export const RE_ENROLLMENT: Path = [...CRITERIA, 'reEnrollmentTriggersFilterBranches'];
export const RE_ENROLL: Path = [...CRITERIA, 'shouldReEnroll'];

export const CONTACT = '0-1';

export type TriggerType = 'EVENT_BASED' | 'LIST_BASED' | 'SCHEDULE' | 'MANUAL';

/** The trigger type of a flow. A flow without criteria takes manual enrollments only. Null: a type of a later version. */
export function triggerTypeOf(document: JsonObject): TriggerType | null {
  const type = at(document, [...CRITERIA, 'type']);
  if (!isAbsent(document.enrollmentSchedule)) return 'SCHEDULE';
  if (type === undefined || type === 'MANUAL') return 'MANUAL';
  return type === 'EVENT_BASED' || type === 'LIST_BASED' ? type : null;
}

/** These values mean that a key is absent (docs/flows.md, unsupported keys). */
export const isAbsent = (value: Json | undefined): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  (isList(value) && value.length === 0) ||
  (isObject(value) && Object.keys(value).length === 0);

/** A new flow, turned off. Its keys are those of a flow that HubSpot exports. */
export const newDocument = (name: string, objectTypeId: string = CONTACT): JsonObject => ({
  name,
  ...identityOf(objectTypeId),
  isEnabled: false,
  enrollmentCriteria: newCriteria('EVENT_BASED'),
  actions: [],
  nextAvailableActionId: '1',
  timeWindows: [],
  blockedDates: [],
  dataSources: [],
  customProperties: {},
  ...(objectTypeId === CONTACT ? { suppressionListIds: [] } : {}),
});

const identityOf = (objectTypeId: string) => ({
  type: objectTypeId === CONTACT ? 'CONTACT_FLOW' : 'PLATFORM_FLOW',
  flowType: 'WORKFLOW',
  objectTypeId,
});

/** Change the object type of a flow. The suppression is written in another key for each type, so it begins anew. */
export function withObjectType(document: JsonObject, objectTypeId: string): JsonObject {
  const changed = { ...document, ...identityOf(objectTypeId) };
  return objectTypeId === CONTACT
    ? put(remove(changed, ['suppressionFilterBranch']), ['suppressionListIds'], [])
    : remove(changed, ['suppressionListIds']);
}

function newCriteria(type: Exclude<TriggerType, 'SCHEDULE'>, shouldReEnroll: Json = false): JsonObject {
  switch (type) {
    case 'EVENT_BASED':
      return { type, shouldReEnroll, eventFilterBranches: [], listMembershipFilterBranches: [] };
    case 'LIST_BASED':
      return {
        type,
        shouldReEnroll,
        listFilterBranch: orBranch([andBranch()]),
        reEnrollmentTriggersFilterBranches: [],
      };
    case 'MANUAL':
      return { type, shouldReEnroll };
  }
}

/** The keys that a change of the trigger type removes, with the number of their groups or filters. */
export interface RemovedPart {
  readonly key: string;
  readonly amount: number;
}

const TRIGGER_KEYS: Readonly<Record<Exclude<TriggerType, 'SCHEDULE'>, readonly string[]>> = {
  EVENT_BASED: ['eventFilterBranches', 'listMembershipFilterBranches', 'refinementCriteria'],
  LIST_BASED: ['listFilterBranch', 'reEnrollmentTriggersFilterBranches'],
  MANUAL: [],
};

export function partsRemovedBy(document: JsonObject, type: Exclude<TriggerType, 'SCHEDULE'>): RemovedPart[] {
  const criteria = at(document, CRITERIA);
  const keys = Object.values(TRIGGER_KEYS).flat();
  const removed = keys
    .filter((key) => !TRIGGER_KEYS[type].includes(key))
    .map((key) => ({ key, amount: filtersIn(at(criteria, [key])) }))
    .filter((part) => part.amount > 0);
  return isAbsent(document.enrollmentSchedule) ? removed : [...removed, { key: 'enrollmentSchedule', amount: 1 }];
}

/** How many filters a branch or a list of branches has. A branch without filters counts as one. */
export function filtersIn(value: Json | undefined): number {
  if (isList(value)) return value.reduce<number>((sum, branch) => sum + Math.max(1, filtersIn(branch)), 0);
  if (!isObject(value)) return 0;
  const branches = listAt(value, ['filterBranches']).reduce<number>((sum, branch) => sum + filtersIn(branch), 0);
  return listAt(value, ['filters']).length + branches;
}

/** Change the trigger type. The triggers of the other types and the schedule are removed; other keys stay. */
export function withTriggerType(document: JsonObject, type: Exclude<TriggerType, 'SCHEDULE'>): JsonObject {
  if (triggerTypeOf(document) === type) return document;
  const criteria = at(document, CRITERIA);
  const foreign = Object.values(TRIGGER_KEYS)
    .flat()
    .filter((key) => !TRIGGER_KEYS[type].includes(key));
  const kept = isObject(criteria)
    ? Object.fromEntries(Object.entries(criteria).filter(([key]) => !foreign.includes(key)))
    : {};
  const changed = put(document, CRITERIA, {
    ...newCriteria(type, at(criteria, ['shouldReEnroll']) ?? false),
    ...kept,
    type,
  });
  return isAbsent(changed.enrollmentSchedule) ? changed : remove(changed, ['enrollmentSchedule']);
}

// Trigger groups ---------------------------------------------------------------------------------------------------

export const eventGroup = (eventTypeId: string): JsonObject => ({
  filterBranchType: 'UNIFIED_EVENTS',
  filterBranchOperator: 'AND',
  operator: 'HAS_COMPLETED',
  eventTypeId,
  filterBranches: [],
  filters: [],
});

export const listGroup = (listId = ''): JsonObject => ({
  filterBranchType: 'AND',
  filterBranchOperator: 'AND',
  filterBranches: [],
  filters: [listFilter(listId)],
});

interface CatalogEntry {
  readonly eventType: string;
  readonly eventTypeIds: readonly string[];
  readonly writtenIn: string;
}

/** Add a trigger group for an event of the catalog. HubSpot's id is written where there is one. */
export const addTriggerGroup = (document: JsonObject, event: CatalogEntry): JsonObject =>
  event.writtenIn === 'listMembershipFilterBranches'
    ? insert(document, LIST_GROUPS, listGroup())
    : insert(document, EVENT_GROUPS, eventGroup(event.eventTypeIds[0] ?? event.eventType));

export const hasTriggers = (document: JsonObject): boolean =>
  listAt(document, EVENT_GROUPS).length + listAt(document, LIST_GROUPS).length > 0;

/** Copy the item of a list, behind it. */
export function duplicateItem(document: JsonObject, list: Path, index: number): JsonObject {
  const item = listAt(document, list)[index];
  return item === undefined ? document : insert(document, list, item, index + 1);
}

export const moveItem = (document: JsonObject, list: Path, index: number, step: 1 | -1): JsonObject =>
  move(document, list, index, index + step);

// Filters and branches of records ----------------------------------------------------------------------------------

export const orBranch = (filterBranches: readonly Json[]): JsonObject => ({
  filterBranchType: 'OR',
  filterBranchOperator: 'OR',
  filterBranches,
  filters: [],
});

export const andBranch = (filters: readonly Json[] = []): JsonObject => ({
  filterBranchType: 'AND',
  filterBranchOperator: 'AND',
  filterBranches: [],
  filters,
});

/** None of its filters may hold (NOT_ANY), or not all (NOT_ALL). */
export const negationBranch = (type: 'NOT_ANY' | 'NOT_ALL', filters: readonly Json[] = []): JsonObject => ({
  filterBranchType: type,
  filterBranchOperator: type,
  filterBranches: [],
  filters,
});

export interface AssociationKind {
  readonly objectTypeId: string;
  readonly associationTypeId: number;
  readonly associationCategory: string;
}

export const associationBranch = (kind: AssociationKind): JsonObject => ({
  filterBranchType: 'ASSOCIATION',
  filterBranchOperator: 'AND',
  operator: 'IN_LIST',
  ...kind,
  filterBranches: [],
  filters: [],
});

/** A filter on a property. Without a property, the API says which one is missing. */
export const propertyFilter = (property: string, operation: JsonObject): JsonObject => ({
  filterType: 'PROPERTY',
  property,
  operation,
});

export const listFilter = (listId: string): JsonObject => ({ filterType: 'IN_LIST', operator: 'IN_LIST', listId });

/** The groups of a tree. A root that is no OR is one group. */
export function groupsOf(document: JsonObject, root: Path): readonly Path[] {
  const branch = at(document, root);
  if (!isObject(branch)) return [];
  if (branch.filterBranchType !== 'OR') return isAbsent(branch) ? [] : [root];
  return listAt(branch, ['filterBranches']).map((_, index) => [...root, 'filterBranches', index]);
}

/** Add a filter group. A root AND becomes the first group of an OR. */
export function addFilterGroup(document: JsonObject, root: Path, filters: readonly Json[] = []): JsonObject {
  const branch = at(document, root);
  const group = andBranch(filters);
  if (!isObject(branch) || isAbsent(branch)) return put(document, root, orBranch([group]));
  if (branch.filterBranchType === 'OR') return insert(document, [...root, 'filterBranches'], group);
  return put(document, root, orBranch([branch, group]));
}

/** Remove a filter group. Without groups, the tree is removed, because an empty tree is no criterion. */
export function removeFilterGroup(document: JsonObject, root: Path, group: Path): JsonObject {
  const left = isSame([...root], [...group]) ? remove(document, root) : remove(document, group);
  return groupsOf(left, root).length === 0 ? remove(left, root) : left;
}

// Settings ---------------------------------------------------------------------------------------------------------

/** Set a setting of the flow. Undefined removes it. */
export const withSetting = (document: JsonObject, key: string, value: Json | undefined): JsonObject =>
  value === undefined ? remove(document, [key]) : put(document, [key], value);

export const nameOf = (document: JsonObject): string => textAt(document, ['name']) ?? '';
export const objectTypeOf = (document: JsonObject): string =>
  textAt(document, ['objectTypeId']) ?? (document.type === 'CONTACT_FLOW' ? CONTACT : '');

/** Keys that the API sets. */
const SERVER_KEYS: readonly string[] = [
  'id',
  'revisionId',
  'createdAt',
  'updatedAt',
  'crmObjectCreationStatus',
  'warnings',
  'uuid',
];

/** Put another document in the place of the draft, for example one that was imported. Its identity stays the draft's. */
export function withContent(document: JsonObject, content: JsonObject): JsonObject {
  const identity = Object.entries(document).filter(([key]) => SERVER_KEYS.includes(key));
  const rest = Object.entries(content).filter(([key]) => !SERVER_KEYS.includes(key));
  return Object.fromEntries([...identity, ...rest]);
}

/** Whether two documents differ in something that is saved. */
export const isChanged = (saved: JsonObject, draft: JsonObject): boolean =>
  !isSame(withContent({}, saved), withContent({}, draft));
