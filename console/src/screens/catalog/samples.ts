import type { EventType } from '../../api/queries';

type Property = EventType['properties'][number];

/** Properties in a sample. More would hide its shape. */
const SHOWN = 4;

/** An event of a type, as a source puts it on the bus: `detail-type` and `detail` (docs/events.md). */
export function sampleEvent(event: EventType, portalId: string, nowMs: number) {
  return {
    source: 'my.source',
    'detail-type': event.eventType,
    detail: {
      id: `${event.eventType}-1`,
      portalId,
      objectType: 'contact',
      objectId: '101',
      occurredAt: new Date(nowMs).toISOString(),
      properties: Object.fromEntries(
        event.properties.slice(0, SHOWN).map((property) => [property.name, valueOf(property)]),
      ),
    },
  };
}

function valueOf(property: Property): string | number | boolean {
  switch (property.type) {
    case 'NUMBER':
      return 1;
    case 'BOOL':
      return true;
    case 'DATETIME':
      return '2026-01-31T12:00:00Z';
    default:
      return property.options[0] ?? (property.name.includes('url') ? 'https://www.example.com/pricing' : 'example');
  }
}
