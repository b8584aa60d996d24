/**
 * JSON values that stay as they were written.
 *
 * A number that JavaScript would write in another way, for example 12345678901234567890 or 1.0, is kept as its source
 * text (`JSON.rawJSON`), so that a document leaves the page as it arrived.
 */

/** A number that is kept as its source text. */
export interface RawNumber {
  readonly rawJSON: string;
}

export type Json = null | boolean | number | string | RawNumber | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** The keys and indexes that lead to a value. */
export type Path = readonly (string | number)[];

/** What Chromium 114, Firefox 135 and Safari 18.4 have, and TypeScript does not declare yet. */
interface SourceTextJson {
  rawJSON?: (source: string) => RawNumber;
  isRawJSON?: (value: unknown) => boolean;
}
const sourceText = JSON as unknown as SourceTextJson;

const isRaw = (value: unknown): value is RawNumber => sourceText.isRawJSON?.(value) ?? false;

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isRaw(value);

export const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);

/** Read JSON. Throws SyntaxError. */
export function parse(content: string): Json {
  return JSON.parse(content, (_key: string, value: unknown, context?: { source?: string }) => {
    const source = context?.source;
    if (typeof value !== 'number' || source === undefined || sourceText.rawJSON === undefined) return value;
    return String(value) === source ? value : sourceText.rawJSON(source);
  }) as Json;
}

/** Write JSON, with an indentation of two spaces if `isIndented`. */
export const write = (value: Json, isIndented = false): string => JSON.stringify(value, null, isIndented ? 2 : 0);

/** Whether two values are the same JSON. The order of keys does not count. */
export function isSame(left: Json | undefined, right: Json | undefined): boolean {
  if (left === right) return true;
  if (isList(left) && isList(right)) {
    return left.length === right.length && left.every((item, index) => isSame(item, right[index]));
  }
  if (isObject(left) && isObject(right)) {
    const keys = Object.keys(left);
    return (
      keys.length === Object.keys(right).length &&
      keys.every((key) => Object.hasOwn(right, key) && isSame(left[key], right[key]))
    );
  }
  return isRaw(left) && isRaw(right) && left.rawJSON === right.rawJSON;
}

/** Return the value at a path; undefined if there is none. */
export function at(value: Json | undefined, path: Path): Json | undefined {
  let inner: Json | undefined = value;
  for (const step of path) {
    if (isList(inner) && typeof step === 'number') inner = inner[step];
    else if (isObject(inner) && typeof step === 'string' && Object.hasOwn(inner, step)) inner = inner[step];
    else return undefined;
  }
  return inner;
}

/** The list at a path; an empty one if there is none. */
export function listAt(value: Json | undefined, path: Path): readonly Json[] {
  const list = at(value, path);
  return isList(list) ? list : [];
}

export function textAt(value: Json | undefined, path: Path): string | undefined {
  const text = at(value, path);
  return typeof text === 'string' ? text : undefined;
}

/** Return a copy with another value at a path. Objects that are missing on the way are created. */
export function put<Value extends Json>(value: Value, path: Path, replacement: Json): Value {
  return replaced(value, path, () => replacement) as Value;
}

/** Return a copy with the value at a path computed from the present one. */
export function update<Value extends Json>(
  value: Value,
  path: Path,
  change: (present: Json | undefined) => Json,
): Value {
  return replaced(value, path, change) as Value;
}

function replaced(value: Json | undefined, path: Path, change: (present: Json | undefined) => Json): Json {
  const [step, ...rest] = path;
  if (step === undefined) return change(value);
  if (typeof step === 'number') {
    const list = isList(value) ? value : [];
    return [...list.slice(0, step), replaced(list[step], rest, change), ...list.slice(step + 1)];
  }
  const object = isObject(value) ? value : {};
  const inner = Object.hasOwn(object, step) ? object[step] : undefined;
  return { ...object, [step]: replaced(inner, rest, change) };
}

/** Return a copy without the value at a path. The items of a list move up. */
export function remove<Value extends Json>(value: Value, path: Path): Value {
  const last = path.at(-1);
  const parent = path.slice(0, -1);
  const holder = at(value, parent);
  if (typeof last === 'number' && isList(holder)) return put(value, parent, holder.toSpliced(last, 1));
  if (typeof last === 'string' && isObject(holder)) {
    return put(value, parent, Object.fromEntries(Object.entries(holder).filter(([key]) => key !== last)));
  }
  return value;
}

/** Return a copy with an item in the list at a path: at its end, or before `index`. */
export const insert = <Value extends Json>(value: Value, path: Path, item: Json, index?: number): Value =>
  update(value, path, (list) => (isList(list) ? list.toSpliced(index ?? list.length, 0, item) : [item]));

/** Return a copy with an item of the list at a path moved to another index. */
export function move<Value extends Json>(value: Value, path: Path, from: number, to: number): Value {
  const list = listAt(value, path);
  const item = list[from];
  if (item === undefined || to < 0 || to >= list.length) return value;
  return put(value, path, list.toSpliced(from, 1).toSpliced(to, 0, item));
}

/** Return a copy with a key renamed in its place. */
export function rename<Value extends Json>(value: Value, path: Path, key: string): Value {
  const last = path.at(-1);
  const holder = at(value, path.slice(0, -1));
  if (typeof last !== 'string' || !isObject(holder)) return value;
  const entries = Object.entries(holder).map(([name, item]) => [name === last ? key : name, item] as const);
  return put(value, path.slice(0, -1), Object.fromEntries(entries));
}

/** Read a path as the API writes it: `$.enrollmentCriteria.eventFilterBranches[0].filters[0].property`. */
export function readPath(path: string): Path {
  const steps: (string | number)[] = [];
  for (const [, key, index] of path.matchAll(/(?:^|\.)([^.[\]]+)|\[(\d+)\]/g)) {
    if (index !== undefined) steps.push(Number(index));
    else if (key !== undefined) steps.push(key);
  }
  return steps[0] === '$' ? steps.slice(1) : steps;
}

export const writePath = (path: Path): string =>
  path.reduce<string>((written, step) => written + (typeof step === 'number' ? `[${step}]` : `.${step}`), '$');

export const isWithin = (path: Path, outer: Path): boolean =>
  path.length >= outer.length && outer.every((step, index) => path[index] === step);
