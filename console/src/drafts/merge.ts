/**
 * Three-way merge of flow documents by part: each trigger group, each filter group, and each setting is a part. Parts are
 * equal if their JSON is.
 */

import { at, isList, isObject, isSame, type Json, type JsonObject, listAt, type Path, put, remove } from './json';

/** Lists whose items are parts. An item has no id, so it is known by its content. */
const LISTS: readonly Path[] = [
  ['enrollmentCriteria', 'eventFilterBranches'],
  ['enrollmentCriteria', 'listMembershipFilterBranches'],
  ['enrollmentCriteria', 'reEnrollmentTriggersFilterBranches'],
  ['enrollmentCriteria', 'refinementCriteria', 'filterBranches'],
  ['enrollmentCriteria', 'listFilterBranch', 'filterBranches'],
];

/** Objects whose keys are parts, except for the lists above. */
const OBJECTS: readonly Path[] = [
  [],
  ['enrollmentCriteria'],
  ['enrollmentCriteria', 'refinementCriteria'],
  ['enrollmentCriteria', 'listFilterBranch'],
];

/** Keys that the API sets. They differ in each revision and are no part. */
const SERVER_KEYS: readonly string[] = ['revisionId', 'createdAt', 'updatedAt', 'warnings'];

/** A part that `theirs` or `mine` has changed. Undefined: absent there. */
export interface PartChange {
  readonly path: Path;
  readonly base: Json | undefined;
  readonly theirs: Json | undefined;
  readonly mine: Json | undefined;
}

export interface Merge {
  /** Both changes. Of a part that both have changed, it has `theirs`. */
  readonly document: JsonObject;
  /** The parts that one or both have changed. */
  readonly changes: readonly PartChange[];
  /** The parts that both have changed in different ways. */
  readonly conflicts: readonly PartChange[];
}

const isListPart = (path: Path): boolean => LISTS.some((list) => isSame([...list], [...path]));
const isObjectPart = (path: Path): boolean => OBJECTS.some((object) => isSame([...object], [...path]));

/** Merge two documents that began from `base`. */
export function merge(base: JsonObject, theirs: JsonObject, mine: JsonObject): Merge {
  const changes: PartChange[] = [];
  const conflicts: PartChange[] = [];
  const document = mergeObject([], base, theirs, mine, changes, conflicts);
  return { document, changes, conflicts };
}

function mergeObject(
  path: Path,
  base: JsonObject,
  theirs: JsonObject,
  mine: JsonObject,
  changes: PartChange[],
  conflicts: PartChange[],
): JsonObject {
  let merged: JsonObject = theirs;
  for (const key of new Set([...Object.keys(base), ...Object.keys(theirs), ...Object.keys(mine)])) {
    if (path.length === 0 && SERVER_KEYS.includes(key)) continue;
    const part = [...path, key];
    const [before, their, my] = [at(base, [key]), at(theirs, [key]), at(mine, [key])];
    if (isObjectPart(part) && isObject(before) && isObject(their) && isObject(my) && isOfOneKind(before, their, my)) {
      merged = put(merged, [key], mergeObject(part, before, their, my, changes, conflicts));
      continue;
    }
    if (isSame(before, their) && isSame(before, my)) continue;
    const change = { path: part, base: before, theirs: their, mine: my };
    changes.push(change);
    if (isSame(their, my) || isSame(before, my)) continue;
    if (isSame(before, their)) merged = withPart(merged, [key], my);
    else {
      const both = isListPart(part) ? mergeList(asList(before), asList(their), asList(my)) : null;
      if (both === null) conflicts.push(change);
      else merged = put(merged, [key], both);
    }
  }
  return merged;
}

/** Criteria of another type, and branches of another type, have other keys. They are one part. */
const isOfOneKind = (...objects: readonly JsonObject[]): boolean =>
  ['type', 'filterBranchType'].every((key) => objects.every((object) => isSame(object[key], objects[0]?.[key])));

const asList = (value: Json | undefined): readonly Json[] | null =>
  value === undefined || value === null ? [] : isList(value) ? value : null;

/**
 * Merge a list by its items. Null if both sides have changed the same item, or one of them has moved items.
 *
 * An item that one side has replaced keeps its place. Items that were added follow: first those that sort first by their
 * JSON, so that the order of the two sides makes no difference.
 */
function mergeList(
  base: readonly Json[] | null,
  theirs: readonly Json[] | null,
  mine: readonly Json[] | null,
): readonly Json[] | null {
  if (base === null || theirs === null || mine === null) return null;
  const their = itemChanges(base, theirs);
  const my = itemChanges(base, mine);
  if (their === null || my === null) return null;
  const merged: Json[] = [];
  for (const [index, item] of base.entries()) {
    const [left, right] = [their.items[index], my.items[index]];
    if (left === undefined || right === undefined) return null;
    const isLeftChanged = left.length !== 1 || !isSame(left[0], item);
    const isRightChanged = right.length !== 1 || !isSame(right[0], item);
    if (isLeftChanged && isRightChanged && !isSame([...left], [...right])) return null;
    merged.push(...(isLeftChanged ? left : right));
  }
  const added = [...their.added, ...my.added.filter((item) => !their.added.some((other) => isSame(item, other)))];
  added.sort((left, right) => (canonical(left) < canonical(right) ? -1 : 1));
  return [...merged, ...added];
}

interface ItemChanges {
  /** For each item of the base: itself, its replacement, or nothing if it was removed. */
  readonly items: readonly (readonly Json[])[];
  readonly added: readonly Json[];
}

/** What became of each item. Null if items were moved, so that the places do not say which item replaced which. */
function itemChanges(base: readonly Json[], next: readonly Json[]): ItemChanges | null {
  const items: (readonly Json[])[] = [];
  let place = 0;
  for (const [index, item] of base.entries()) {
    const kept = next.findIndex((other, other_index) => other_index >= place && isSame(item, other));
    if (kept === place) {
      items.push([item]);
      place += 1;
      continue;
    }
    if (
      next.slice(0, place).some((other) => isSame(item, other)) &&
      !base.slice(0, index).some((b) => isSame(b, item))
    ) {
      return null;
    }
    if (kept > place) return null;
    // The item is gone. The one in its place replaced it, unless that is a later item of the base.
    const candidate = next[place];
    const isLater = candidate !== undefined && base.slice(index + 1).some((later) => isSame(later, candidate));
    if (candidate === undefined || isLater) items.push([]);
    else {
      items.push([candidate]);
      place += 1;
    }
  }
  return { items, added: next.slice(place) };
}

/** JSON with sorted keys. */
function canonical(value: Json): string {
  if (isList(value)) return `[${value.map(canonical).join()}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join()}}`;
}

const withPart = (document: JsonObject, path: Path, value: Json | undefined): JsonObject =>
  value === undefined ? remove(document, path) : put(document, path, value);

/** Take one side's value of a part that both have changed. */
export const choose = (document: JsonObject, part: PartChange, side: 'theirs' | 'mine'): JsonObject =>
  withPart(document, part.path, part[side]);

/** How many items a list part has. */
export const sizeOf = (value: Json | undefined): number => listAt(value, []).length;
