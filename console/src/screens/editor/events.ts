/** Events of the catalog, for flows. */

import type { EventType } from '../../api/queries';
import { CONTACT } from '../../drafts/documents';

/** The event of a trigger group: `eventTypeId` is HubSpot's id of it, or its name. */
export const eventOf = (events: readonly EventType[], eventTypeId: string | undefined): EventType | undefined =>
  events.find((event) => event.eventType === eventTypeId || event.eventTypeIds.includes(eventTypeId ?? ''));

/** Whether flows of an object type can start from an event. */
export function isAllowedFor(event: EventType, objectTypeId: string): boolean {
  if (!event.flowTypes.includes(objectTypeId === CONTACT ? 'CONTACT_FLOW' : 'PLATFORM_FLOW')) return false;
  // The catalog names the types in words: "contact (0-1), company (0-2), custom objects (2-…)".
  const ids = [...event.objectTypes.matchAll(/\((\d)-(\d+|…)\)/g)];
  return (
    ids.length === 0 ||
    ids.some(([, kind, id]) => objectTypeId === `${kind}-${id}` || (id === '…' && objectTypeId.startsWith(`${kind}-`)))
  );
}
