/** What the address of the screen Event has after the question mark. */

export interface EventSearch {
  /** The record of the event, for example `contact/103`: for a stack that does not find events by their id alone. */
  record?: string;
}

export const readEventSearch = (raw: Record<string, unknown>): EventSearch =>
  typeof raw.record === 'string' ? { record: raw.record } : {};
