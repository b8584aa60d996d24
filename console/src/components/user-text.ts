/** Text that somebody typed or a source sent: names, values, ids, messages that repeat them. */

/**
 * Controls, which a terminal would act on, and characters that reverse the order of the text after them. Marks such as
 * U+200F are left: Hebrew and Arabic need them, and they change nothing outside the element of the text.
 */
const CONTROLS = /(?![\t\n])[\p{Cc}\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/** Return a text in which each control is written as an escape, for example `\u202e`. */
export const visibleControls = (value: string): string =>
  value.replace(CONTROLS, (control) => `\\u${(control.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);
