import { expect, test } from 'vitest';

import { recordName, recordPath } from '../src/components/records';

test.each([
  [{ firstname: 'Chloé', lastname: 'Martin', email: 'c@example.com' }, 'Chloé Martin'],
  [{ lastname: 'Martin' }, 'Martin'],
  [{ name: 'Example Ltd' }, 'Example Ltd'],
  [{ email: 'c@example.com' }, 'c@example.com'],
  [{ firstname: ' ', email: null }, 'contact/103'],
])('the name of a record with %o is %s', (properties, name) => {
  expect(recordName('0-1', '103', properties)).toBe(name);
});

test('a custom object has its type id in its path', () => {
  expect(recordPath('2-123', '7')).toBe('2-123/7');
});
