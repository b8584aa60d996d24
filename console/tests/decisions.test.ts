import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { DECISIONS, lookOf } from '../src/components/decisions';

test('every decision of the API has words and an icon', () => {
  const document = JSON.parse(readFileSync('../docs/openapi.json', 'utf-8')) as {
    components: { schemas: { Account: { properties: { code: { anyOf: { enum?: string[] }[] } } } } };
  };
  const codes = document.components.schemas.Account.properties.code.anyOf.flatMap((choice) => choice.enum ?? []);
  expect(Object.keys(DECISIONS).sort()).toEqual(codes.sort());
});

test('an event that was not decided has words too', () => {
  expect(lookOf(null).words).toBe('No decision');
});
