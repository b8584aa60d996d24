/** What the address of the screen Why not has after the question mark. */

export interface WhySearch {
  /** `contact/103`, or what was typed to find the record. */
  record?: string;
  /** The ID of an event of the record. Absent: the newest events of the record are listed. */
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
