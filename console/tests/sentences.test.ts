import { expect, test } from 'vitest';

import { partsOf } from '../src/components/sentences';

const VISIT = { eventType: 'website.page_visited', label: 'Page visited' };
const FORM = { eventType: 'forms.submitted', label: 'Form submission' };

test('labels of events stand out, and their names are left out', () => {
  const sentence =
    'Enrolls a contact: form submission (forms.submitted); or page visited (website.page_visited), where x.';
  expect(partsOf(sentence, [VISIT, FORM])).toEqual([
    { text: 'Enrolls a contact: ', isLabel: false },
    { text: 'form submission', isLabel: true },
    { text: '; or ', isLabel: false },
    { text: 'page visited', isLabel: true },
    { text: ', where x.', isLabel: false },
  ]);
});

test('a sentence without a known event stays as it is', () => {
  const sentence = 'Only if country is "(website.page_visited)".';
  expect(partsOf(sentence, [VISIT])).toEqual([{ text: sentence, isLabel: false }]);
});

test('an event that is named twice stands out twice', () => {
  const parts = partsOf('page visited (website.page_visited) or page visited (website.page_visited)', [VISIT]);
  expect(parts.filter((part) => part.isLabel)).toHaveLength(2);
});
