/** What the address of the screen Why not has after the question mark. */

export interface WhySearch {
  /** `contact/103` */
  record?: string;
  /** The id of an event of the record. */
  event?: string;
  /** The flow whose explanation is open. Empty: none is. Absent: the first that its own criteria decided. */
  flow?: string;
}

const asText = (value: unknown): string | undefined =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;

export function readWhySearch(raw: Record<string, unknown>): WhySearch {
  const [record, event, flow] = [asText(raw.record), asText(raw.event), asText(raw.flow)];
  return {
    ...(record === undefined ? {} : { record }),
    ...(event === undefined ? {} : { event }),
    ...(flow === undefined ? {} : { flow }),
  };
}
