/** Flow documents for property tests: of each trigger type, with keys that the console does not know. */

import fc from 'fast-check';

import type { Json, JsonObject } from '../src/drafts/json';

const json = fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>;

/** Keys that no version of the format has. */
const unknownKeys = fc.dictionary(
  fc.string({ maxLength: 8 }).map((key) => `x-${key}`),
  json,
  { maxKeys: 3 },
) as fc.Arbitrary<JsonObject>;

const withUnknownKeys = (object: fc.Arbitrary<JsonObject>): fc.Arbitrary<JsonObject> =>
  fc.tuple(object, unknownKeys).map(([known, unknown]) => ({ ...unknown, ...known }));

const texts = fc.array(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 4 });

const operation: fc.Arbitrary<JsonObject> = withUnknownKeys(
  fc.oneof(
    fc.record({
      operationType: fc.constant('STRING'),
      operator: fc.constantFrom('IS_EQUAL_TO', 'CONTAINS', 'HAS_EVER_CONTAINED'),
      value: fc.oneof(fc.string(), fc.integer(), fc.boolean()),
    }),
    fc.record({ operationType: fc.constant('MULTISTRING'), operator: fc.constant('CONTAINS_EXACTLY'), values: texts }),
    fc.record({
      operationType: fc.constant('ENUMERATION'),
      operator: fc.constantFrom('IS_ANY_OF', 'IS_NONE_OF', 'IS_EQUAL_TO'),
      values: texts,
    }),
    fc.record({
      operationType: fc.constant('NUMBER'),
      operator: fc.constantFrom('IS_GREATER_THAN', 'IS_EQUAL_TO'),
      value: fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.string()),
    }),
    fc.record({ operationType: fc.constant('BOOL'), operator: fc.constant('IS_EQUAL_TO'), value: fc.boolean() }),
    fc.record({ operationType: fc.constant('ALL_PROPERTY'), operator: fc.constantFrom('IS_KNOWN', 'IS_BLANK') }),
    fc.record({ operationType: fc.constant('TIME_POINT'), operator: fc.constant('IS_BEFORE'), timePoint: json }),
    fc.record({ operationType: fc.string(), operator: fc.string() }),
  ),
);

const filter = withUnknownKeys(
  fc.oneof(
    fc.record({ filterType: fc.constant('PROPERTY'), property: fc.string({ minLength: 1, maxLength: 9 }), operation }),
    fc.record({ filterType: fc.constant('IN_LIST'), operator: fc.constant('IN_LIST'), listId: fc.string() }),
    fc.record({ filterType: fc.constant('CONSTANT'), shouldAccept: fc.boolean() }),
    fc.record({ filterType: fc.constant('WEBINAR'), webinarId: json }),
  ),
);

const filters = fc.array(filter, { maxLength: 3 });

const inner = withUnknownKeys(
  fc.record({
    filterBranchType: fc.constantFrom('ASSOCIATION', 'NOT_ANY', 'NOT_ALL'),
    filterBranchOperator: fc.constant('AND'),
    filterBranches: fc.constant([]),
    filters,
  }),
);

const group = withUnknownKeys(
  fc.record({
    filterBranchType: fc.constant('AND'),
    filterBranchOperator: fc.constant('AND'),
    filterBranches: fc.array(inner, { maxLength: 2 }),
    filters,
  }),
);

const tree = fc.oneof(
  group,
  withUnknownKeys(
    fc.record({
      filterBranchType: fc.constant('OR'),
      filterBranchOperator: fc.constant('OR'),
      filterBranches: fc.array(group, { maxLength: 3 }),
      filters: fc.constant([]),
    }) as fc.Arbitrary<JsonObject>,
  ),
);

const eventGroup = withUnknownKeys(
  fc.record({
    filterBranchType: fc.constant('UNIFIED_EVENTS'),
    filterBranchOperator: fc.constant('AND'),
    operator: fc.constant('HAS_COMPLETED'),
    eventTypeId: fc.constantFrom('4-1639801', '4-96000', 'crm.property_changed', 'no.such_event'),
    filterBranches: fc.constant([]),
    filters,
  }),
);

const criteria = fc.oneof(
  withUnknownKeys(
    fc.record({
      type: fc.constant('EVENT_BASED'),
      shouldReEnroll: fc.boolean(),
      eventFilterBranches: fc.array(eventGroup, { maxLength: 3 }),
      listMembershipFilterBranches: fc.array(group, { maxLength: 2 }),
      refinementCriteria: tree,
    }) as fc.Arbitrary<JsonObject>,
  ),
  withUnknownKeys(
    fc.record({
      type: fc.constant('LIST_BASED'),
      shouldReEnroll: fc.boolean(),
      listFilterBranch: tree,
      reEnrollmentTriggersFilterBranches: fc.array(group, { maxLength: 2 }),
    }) as fc.Arbitrary<JsonObject>,
  ),
  withUnknownKeys(fc.record({ type: fc.constant('MANUAL') }) as fc.Arbitrary<JsonObject>),
);

/** A flow as the API returns it. */
export const flows: fc.Arbitrary<JsonObject> = withUnknownKeys(
  fc.record({
    id: fc.constant('1016'),
    revisionId: fc.constant('7'),
    name: fc.string(),
    type: fc.constant('CONTACT_FLOW'),
    objectTypeId: fc.constant('0-1'),
    isEnabled: fc.boolean(),
    enrollmentCriteria: criteria,
    actions: fc.array(json, { maxLength: 3 }),
    suppressionListIds: fc.array(fc.integer(), { maxLength: 2 }),
  }),
);
