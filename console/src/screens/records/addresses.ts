/** What the addresses of the screens Records and Record have after the question mark. */

import { type DecisionCode, DECISIONS } from '../../components/decisions';

export interface RecordsSearch {
  /** What was typed: an email address, an id, or a type and an id. */
  find?: string;
}

export const readRecordsSearch = (raw: Record<string, unknown>): RecordsSearch => ({
  // An id that is all digits arrives as a number.
  ...(typeof raw.find === 'string' || typeof raw.find === 'number' ? { find: String(raw.find) } : {}),
});

export const TABS = ['timeline', 'flows', 'properties', 'json'] as const;
export type Tab = (typeof TABS)[number];

export interface RecordViewSearch {
  tab?: Exclude<Tab, 'timeline'>;
  /** Only events that concern this flow. */
  flow?: string;
  /** Only events with this decision. */
  code?: DecisionCode;
}

export function readRecordViewSearch(raw: Record<string, unknown>): RecordViewSearch {
  return {
    ...(raw.tab === 'flows' || raw.tab === 'properties' || raw.tab === 'json' ? { tab: raw.tab } : {}),
    ...(typeof raw.flow === 'string' || typeof raw.flow === 'number' ? { flow: String(raw.flow) } : {}),
    ...(typeof raw.code === 'string' && raw.code in DECISIONS ? { code: raw.code as DecisionCode } : {}),
  };
}
