/** Events in words: a label from the catalog, and a few words that tell one event from another of its type. */

import type { Schemas } from '../api/client';
import type { EventType } from '../api/queries';
import { text } from '../text';
import { objectTypeName } from './records';
import { visibleControls } from './user-text';

export type EventOccurrence = Schemas['EventOccurrence'];

/** `Page visited` for `website.page_visited`; the name itself if this version does not know it. */
export const eventLabel = (eventType: string, catalog: readonly EventType[]): string =>
  catalog.find((type) => type.eventType === eventType)?.label ?? eventType;

/** Properties that name what the event is about, the best first. */
const NAMES = /_(title|name|subject)$/;
const PATHS = ['hs_url', 'hs_page_url'];

/** Return a few words about an event, for example `/pricing`. Empty if the event has no properties. */
export const eventSummary = (event: Pick<EventOccurrence, 'eventType' | 'properties'>): string =>
  visibleControls(rawSummary(event));

function rawSummary({ eventType, properties }: Pick<EventOccurrence, 'eventType' | 'properties'>): string {
  const special = SUMMARIES[eventType]?.(properties);
  if (special !== undefined) return special;
  for (const name of PATHS) {
    const url = properties[name];
    if (url !== undefined) return pathOf(url);
  }
  const named = Object.keys(properties).find((name) => NAMES.test(name));
  return properties[named ?? Object.keys(properties)[0] ?? ''] ?? '';
}

const SUMMARIES: Readonly<Record<string, (properties: EventOccurrence['properties']) => string>> = {
  'crm.property_changed': ({ hs_name: name, hs_value: value, hs_previous_value: previous }) =>
    text.event.propertyChanged(name ?? '', previous, value),
  'lists.membership_changed': ({ hs_list_id: list, hs_membership_change: change }) =>
    text.event.membershipChanged(list ?? '', change === 'REMOVED'),
  'crm.association_changed': ({ hs_to_object_type_id: type, hs_to_object_id: id, hs_association_change: change }) =>
    text.event.associationChanged(`${objectTypeName(type ?? '')}/${id ?? ''}`, change === 'REMOVED'),
};

function pathOf(url: string): string {
  try {
    const { pathname } = new URL(url);
    return pathname;
  } catch {
    // A source may write a path, or anything else.
    return url;
  }
}

/** The type of a record in addresses: `contact` for `CONTACT` or `0-1`. */
export const routeType = (objectType: string): string =>
  text.objectType[objectType] ?? (/^\d/.test(objectType) ? objectType : objectType.toLowerCase());
