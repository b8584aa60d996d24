/** Values that the API found, in words. */

import { visibleControls } from '../components/user-text';
import { text } from '../text';

export type Found = string | number | boolean | null | readonly string[];

/** Longer texts are cut, because a property can have 8 KB. */
const LONGEST = 200;

/** Return a value in words. `subject`: the property, or a description of what was evaluated, for example `list 42`. */
export function foundWords(found: Found, subject = ''): string {
  if (found === null || found === '') return text.explanation.noValue;
  if (typeof found === 'boolean') {
    if (subject.startsWith('list ')) return found ? text.explanation.member : text.explanation.noMember;
    return found ? text.explanation.yes : text.explanation.no;
  }
  if (typeof found === 'number' && subject.startsWith('associated ')) return text.explanation.associatedRecords(found);
  const words = visibleControls(Array.isArray(found) ? found.join(', ') : String(found));
  return words.length > LONGEST ? `${words.slice(0, LONGEST)}…` : words;
}
