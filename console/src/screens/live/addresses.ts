/** What the address of the screen Live has after the question mark. */

import { type DecisionCode, DECISIONS } from '../../components/decisions';

export interface LiveSearch {
  /** Event types, separated by commas. Those that start flows which are on if absent. */
  types?: string;
  flow?: string;
  code?: DecisionCode;
  /** The start of a minute: only events of this minute. */
  at?: string;
  /** The key of the event that is open. */
  event?: string;
}

export function readLiveSearch(raw: Record<string, unknown>): LiveSearch {
  const flow = typeof raw.flow === 'number' ? String(raw.flow) : raw.flow;
  return {
    ...(typeof raw.types === 'string' && raw.types !== '' ? { types: raw.types } : {}),
    ...(typeof flow === 'string' && flow !== '' ? { flow } : {}),
    ...(typeof raw.code === 'string' && raw.code in DECISIONS ? { code: raw.code as DecisionCode } : {}),
    ...(typeof raw.at === 'string' && !Number.isNaN(Date.parse(raw.at)) ? { at: raw.at } : {}),
    ...(typeof raw.event === 'string' ? { event: raw.event } : {}),
  };
}
