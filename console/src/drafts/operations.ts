/**
 * The operations of filters: one entry for each meaning, although the format has several spellings.
 *
 * An operation that has no entry is kept and shown as it is, and never rewritten.
 */

import { at, isList, isObject, type Json, type JsonObject, put, remove, textAt } from './json';

/** How the operands are edited. */
export type Editor =
  'texts' | 'options' | 'number' | 'numbers' | 'none' | 'date' | 'time' | 'times' | 'days' | 'calendar' | 'property';

export interface Meaning {
  /** `STRING IS_EQUAL_TO`; for BOOL with the value. */
  readonly id: string;
  readonly operationType: string;
  readonly operator: string;
  readonly editor: Editor;
  /** BOOL is written with its value. */
  readonly value?: boolean;
}

const EDITORS: Readonly<Record<string, Editor>> = {
  STRING: 'texts',
  ENUMERATION: 'options',
  NUMBER: 'number',
  NUMBER_RANGED: 'numbers',
  ALL_PROPERTY: 'none',
  DATE: 'date',
  DATETIME: 'time',
  RANGED_DATE: 'times',
  ROLLING_DATE_RANGE: 'days',
  ROLLING_PROPERTY_UPDATED: 'days',
  CALENDAR_DATE: 'calendar',
  COMPARATIVE_DATE: 'property',
  COMPARATIVE_STRING: 'property',
  COMPARATIVE_PROPERTY_UPDATED: 'property',
};

/** What the catalog or the API says of a property: the operators of each operation. */
export interface AllowedOperation {
  readonly operationType: string;
  readonly operators: readonly string[];
}

const operators = (names: string): readonly string[] => names.split(' ');

/** The operations of a record's property (docs/flows.md, operations), by the type of the property. */
const RECORD_OPERATIONS: readonly (AllowedOperation & { readonly types: readonly PropertyType[] })[] = [
  {
    operationType: 'STRING',
    types: ['string'],
    operators: operators(
      'IS_EQUAL_TO IS_NOT_EQUAL_TO CONTAINS DOES_NOT_CONTAIN STARTS_WITH ENDS_WITH HAS_EVER_BEEN_EQUAL_TO HAS_NEVER_BEEN_EQUAL_TO HAS_EVER_CONTAINED HAS_NEVER_CONTAINED',
    ),
  },
  {
    operationType: 'ENUMERATION',
    types: ['enumeration'],
    operators: operators(
      'IS_ANY_OF IS_NONE_OF IS_EXACTLY IS_NOT_EXACTLY CONTAINS_ALL DOES_NOT_CONTAIN_ALL HAS_EVER_BEEN_ANY_OF HAS_NEVER_BEEN_ANY_OF HAS_EVER_BEEN_EXACTLY HAS_NEVER_BEEN_EXACTLY HAS_EVER_CONTAINED_ALL HAS_NEVER_CONTAINED_ALL',
    ),
  },
  {
    operationType: 'NUMBER',
    types: ['number'],
    operators: operators(
      'IS_EQUAL_TO IS_NOT_EQUAL_TO IS_GREATER_THAN IS_GREATER_THAN_OR_EQUAL_TO IS_LESS_THAN IS_LESS_THAN_OR_EQUAL_TO HAS_EVER_BEEN_EQUAL_TO HAS_NEVER_BEEN_EQUAL_TO',
    ),
  },
  { operationType: 'NUMBER_RANGED', types: ['number'], operators: operators('IS_BETWEEN IS_NOT_BETWEEN') },
  { operationType: 'BOOL', types: ['bool'], operators: operators('IS_EQUAL_TO') },
  { operationType: 'DATE', types: ['date', 'datetime'], operators: operators('EQUAL BEFORE AFTER') },
  { operationType: 'DATETIME', types: ['date', 'datetime'], operators: operators('IS_EQUAL_TO IS_BEFORE IS_AFTER') },
  { operationType: 'RANGED_DATE', types: ['date', 'datetime'], operators: operators('IS_BETWEEN IS_NOT_BETWEEN') },
  {
    operationType: 'ROLLING_DATE_RANGE',
    types: ['date', 'datetime'],
    operators: operators(
      'IS_LESS_THAN_X_DAYS_AGO IS_MORE_THAN_X_DAYS_AGO IS_LESS_THAN_X_DAYS_FROM_NOW IS_MORE_THAN_X_DAYS_FROM_NOW',
    ),
  },
  {
    operationType: 'CALENDAR_DATE',
    types: ['date', 'datetime'],
    operators: operators(
      'IN_THIS_TIME_UNIT IN_THIS_TIME_UNIT_SO_FAR IN_LAST_TIME_UNIT IN_LAST_TIME_UNIT_SO_FAR IN_NEXT_TIME_UNIT',
    ),
  },
  { operationType: 'COMPARATIVE_DATE', types: ['date', 'datetime'], operators: operators('IS_BEFORE IS_AFTER') },
  {
    operationType: 'COMPARATIVE_STRING',
    types: ['string'],
    operators: operators('IS_EQUAL_TO IS_NOT_EQUAL_TO CONTAINS DOES_NOT_CONTAIN STARTS_WITH ENDS_WITH'),
  },
  {
    operationType: 'ALL_PROPERTY',
    types: ['string', 'enumeration', 'number', 'bool', 'date', 'datetime'],
    operators: operators('IS_KNOWN IS_UNKNOWN'),
  },
  {
    operationType: 'ROLLING_PROPERTY_UPDATED',
    types: ['string', 'enumeration', 'number', 'bool', 'date', 'datetime'],
    operators: operators('UPDATED_IN_LAST_X_DAYS NOT_UPDATED_IN_LAST_X_DAYS'),
  },
  {
    operationType: 'COMPARATIVE_PROPERTY_UPDATED',
    types: ['string', 'enumeration', 'number', 'bool', 'date', 'datetime'],
    operators: operators('IS_BEFORE IS_AFTER'),
  },
];

export type PropertyType = 'string' | 'enumeration' | 'number' | 'bool' | 'date' | 'datetime';

/** The operations of a record's property. `type` undefined: it is not known, so all are offered. */
export const operationsOfType = (type: PropertyType | undefined): readonly AllowedOperation[] =>
  RECORD_OPERATIONS.filter((operation) => type === undefined || operation.types.includes(type));

/** MULTISTRING is another spelling of STRING, and IS_BLANK one of IS_UNKNOWN, so they have no entry. */
export function meaningsOf(allowed: readonly AllowedOperation[]): readonly Meaning[] {
  return allowed.flatMap(({ operationType, operators: names }) => {
    if (operationType === 'BOOL') return names.includes('IS_EQUAL_TO') ? BOOL_MEANINGS : [];
    const editor = EDITORS[operationType];
    if (editor === undefined) return [];
    return names
      .filter((operator) => operationType !== 'ALL_PROPERTY' || operator === 'IS_KNOWN' || operator === 'IS_UNKNOWN')
      .map((operator) => ({ id: `${operationType} ${operator}`, operationType, operator, editor }));
  });
}

const BOOL_MEANINGS: readonly Meaning[] = [true, false].map((value) => ({
  id: `BOOL IS_EQUAL_TO ${value}`,
  operationType: 'BOOL',
  operator: 'IS_EQUAL_TO',
  editor: 'none',
  value,
}));

/** Operators that STRING and MULTISTRING have both. */
const OF_BOTH_SPELLINGS = operators(
  'IS_EQUAL_TO IS_NOT_EQUAL_TO CONTAINS DOES_NOT_CONTAIN STARTS_WITH ENDS_WITH HAS_EVER_BEEN_EQUAL_TO HAS_NEVER_BEEN_EQUAL_TO',
);

const FIRST_BY_TYPE: Readonly<Record<string, string>> = {
  string: 'STRING IS_EQUAL_TO',
  enumeration: 'ENUMERATION IS_ANY_OF',
  number: 'NUMBER IS_EQUAL_TO',
  bool: 'BOOL IS_EQUAL_TO true',
  date: 'DATE EQUAL',
  datetime: 'DATETIME IS_AFTER',
};

/** The meaning that a filter on a property of a type begins with. The type in any case; undefined: not known. */
export function firstMeaning(meanings: readonly Meaning[], type: string | undefined): Meaning | undefined {
  const id = FIRST_BY_TYPE[type?.toLowerCase() ?? 'string'] ?? FIRST_BY_TYPE.string;
  return meanings.find((meaning) => meaning.id === id) ?? meanings[0];
}

/** The meaning of an operation; null if it has no entry, so that it is shown as it is. */
export function meaningOf(operation: JsonObject): Meaning | null {
  const operationType = textAt(operation, ['operationType']);
  const operator = textAt(operation, ['operator']);
  if (operationType === undefined || operator === undefined) return null;
  if (operationType === 'BOOL') {
    return BOOL_MEANINGS.find((meaning) => meaning.operator === operator && meaning.value === operation.value) ?? null;
  }
  if (operationType === 'MULTISTRING') {
    return { id: `STRING ${operator}`, operationType: 'STRING', operator, editor: 'texts' };
  }
  const editor = EDITORS[operationType];
  if (editor === undefined) return null;
  return { id: `${operationType} ${operator}`, operationType, operator, editor };
}

/** The operation of a filter that was just added. */
export const newOperation = (meaning: Meaning): JsonObject => withMeaning({}, meaning);

const OPERANDS = [
  'value',
  'values',
  'lowerBound',
  'upperBound',
  'timestamp',
  'year',
  'month',
  'day',
  'numberOfDays',
  'timeUnit',
  'timeUnitCount',
  'comparisonPropertyName',
  'defaultComparisonValue',
];

/** Give an operation another meaning. Operands that the new meaning has too are kept, and so are unknown keys. */
export function withMeaning(operation: JsonObject, meaning: Meaning): JsonObject {
  const old = meaningOf(operation);
  const bare = Object.fromEntries(Object.entries(operation).filter(([key]) => !OPERANDS.includes(key)));
  const head = { ...bare, operationType: meaning.operationType, operator: meaning.operator };
  const operands = old?.editor === meaning.editor ? operandsOf(operation) : {};
  const texts = textsOf(operation);
  switch (meaning.editor) {
    case 'none':
      return withEmptyFlag({ ...head, ...(meaning.value === undefined ? {} : { value: meaning.value }) });
    case 'texts':
      return withEmptyFlag(withTexts(head, texts));
    case 'options':
      return withEmptyFlag({ ...head, values: valuesOf(operation, texts) });
    case 'number':
      return withEmptyFlag({ ...head, value: typeof operation.value === 'number' ? operation.value : '' });
    case 'numbers':
    case 'times':
      return withEmptyFlag({ ...head, lowerBound: '', upperBound: '', ...operands });
    case 'date':
      return withEmptyFlag({ ...head, ...operands });
    case 'time':
      return withEmptyFlag({ ...head, timestamp: '', ...operands });
    case 'days':
      return withEmptyFlag({ ...head, numberOfDays: 30, ...operands });
    case 'calendar':
      return withEmptyFlag({ ...head, timeUnit: 'DAY', timeUnitCount: 1, ...operands });
    case 'property':
      return withEmptyFlag({ ...head, comparisonPropertyName: '', ...operands });
  }
}

const operandsOf = (operation: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(operation).filter(([key]) => OPERANDS.includes(key)));

/** HubSpot writes the key in each operation. It is written last, as there. */
const withEmptyFlag = (operation: JsonObject): JsonObject => ({
  ...remove(operation, ['includeObjectsWithNoValueSet']),
  includeObjectsWithNoValueSet: operation.includeObjectsWithNoValueSet ?? false,
});

/** The operands of STRING, MULTISTRING and ENUMERATION, as text. */
export function textsOf(operation: JsonObject): readonly string[] {
  const values = at(operation, ['values']);
  if (isList(values)) return values.map(textOf);
  const value = at(operation, ['value']);
  return value === undefined || value === '' || value === null ? [] : [textOf(value)];
}

const textOf = (value: Json): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** Set the operands of a text operation: STRING with one, MULTISTRING with several. */
export function withTexts(operation: JsonObject, texts: readonly string[]): JsonObject {
  const operator = textAt(operation, ['operator']) ?? '';
  const values = valuesOf(operation, texts);
  if (operation.operationType === 'ENUMERATION') return { ...operation, values };
  const isOfBoth = OF_BOTH_SPELLINGS.includes(operator);
  // CONTAINS_EXACTLY is an operator of MULTISTRING only, HAS_EVER_CONTAINED of STRING only.
  if (isOfBoth ? texts.length > 1 : operation.operationType === 'MULTISTRING') {
    return { ...remove(operation, ['value']), operationType: 'MULTISTRING', values };
  }
  return { ...remove(operation, ['values']), operationType: 'STRING', value: values.at(-1) ?? '' };
}

/** The operands for texts. A number or a boolean of the operation stays one. */
function valuesOf(operation: JsonObject, texts: readonly string[]): readonly Json[] {
  const values = at(operation, ['values']);
  const present = isList(values) ? values : [operation.value ?? ''];
  return texts.map((text) => present.find((value) => textOf(value) === text) ?? text);
}

/** Read a number as it is typed. The text itself if it is none, so that the API says what is wrong. */
export function readNumber(typed: string): Json {
  const trimmed = typed.trim();
  const number = Number(trimmed);
  return trimmed !== '' && Number.isFinite(number) && String(number) === trimmed ? number : typed;
}

const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];

/** The day of a DATE operation as `2026-11-28`; empty if it has none. */
export function dayOf(operation: JsonObject): string {
  const month = MONTHS.indexOf(textAt(operation, ['month']) ?? '') + 1;
  const { year, day } = operation;
  if (month === 0 || typeof year !== 'number' || typeof day !== 'number') return '';
  return `${String(year).padStart(4, '0')}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`;
}

/** Set the day of a DATE operation. */
export function withDay(operation: JsonObject, day: string): JsonObject {
  const [year, month, date] = day.split('-').map(Number);
  if (year === undefined || month === undefined || date === undefined) return operation;
  return { ...operation, year, month: MONTHS[month - 1] ?? '', day: date };
}

/** Set one operand. */
export const withOperand = (operation: JsonObject, key: string, value: Json): JsonObject =>
  put(operation, [key], value);

export const operationOf = (filter: Json | undefined): JsonObject => {
  const operation = at(filter, ['operation']);
  return isObject(operation) ? operation : {};
};
