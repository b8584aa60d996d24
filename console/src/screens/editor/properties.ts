/** What is known of the properties of records. A property that is not known can be typed by its name. */

import type { RecordProperty } from '../../api/drafts';

export type RecordProperties = ReadonlyMap<string, RecordProperty>;

export const NO_PROPERTIES: RecordProperties = new Map();
