import { expect, test } from 'vitest';

import { visibleControls } from '../src/components/user-text';

test('controls and characters that reverse the order of text are written as escapes', () => {
  expect(visibleControls('a\u202eb\u2066c\u001b[31m\u0000')).toBe('a\\u202eb\\u2066c\\u001b[31m\\u0000');
});

test('other text stays as it is', () => {
  const words = 'Chloé שלום\u200f مرحبا 🙂\tline\nline';
  expect(visibleControls(words)).toBe(words);
});

test('the escapes are those of JSON', () => {
  const value = { name: 'a\u202eb' };
  expect(JSON.parse(visibleControls(JSON.stringify(value)))).toEqual(value);
});
