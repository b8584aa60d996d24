import { Search } from 'lucide-react';
import { expect, test } from 'vitest';

import { searchCommands } from '../src/shell/commands';
import { type Command, matching } from '../src/shell/Palette';

const command = (label: string, more: Partial<Command> = {}): Command => ({
  id: label,
  label,
  icon: Search,
  run: () => undefined,
  ...more,
});

const COMMANDS = [
  command('Looked at prices', { hint: 'Flow 1016' }),
  command('Turn off Looked at prices', { hint: 'Flow 1016', isAction: true }),
  command('Prices of last year', { hint: 'Flow 1017' }),
];

const labels = (query: string) => matching(COMMANDS, query).map(({ label }) => label);

test('a command that changes something appears only when it is searched for', () => {
  expect(labels('')).toEqual(['Looked at prices', 'Prices of last year']);
  expect(labels('turn off')).toEqual(['Turn off Looked at prices']);
});

test('commands whose label begins with the query come first', () => {
  expect(labels('prices')).toEqual(['Prices of last year', 'Looked at prices', 'Turn off Looked at prices']);
});

test('each word may be in the label or in the hint', () => {
  expect(labels('1017 year')).toEqual(['Prices of last year']);
});

const found = (typed: string) => searchCommands(typed, () => Promise.resolve()).map(({ label }) => label);

test('an email address is offered as a record, and an ID as a record and as an event', () => {
  expect(found('ada@example.com')).toEqual(['Open the record ada@example.com']);
  expect(found('company/201')).toEqual(['Open the record company/201', 'Find the event company/201']);
  expect(found('103')).toEqual(['Open the record contact/103', 'Find the event 103']);
});

test('words are not offered as a record', () => {
  expect(found('Turn off Look')).toEqual(['Find the event Turn off Look']);
});

test('an override of the direction of text is visible in a command', () => {
  expect(found('a\u202eb')).toContain('Find the event a\\u202eb');
});
