/** Whom a draft gains and loses, against the saved revision, on past events. */

import type { Impact, ImpactEvent } from '../../api/drafts';

export interface ImpactSummary {
  readonly gained: readonly ImpactEvent[];
  readonly lost: readonly ImpactEvent[];
  readonly same: readonly ImpactEvent[];
  readonly notEnrolled: readonly ImpactEvent[];
  /** How many events were read. */
  readonly events: number;
}

const ENROLLED = 'ENROLLED';

/**
 * Compare the enrollments of all pages. In a version that a record enters only once, the record's earliest event counts.
 * If both versions are such, an enrollment is known by its record alone.
 */
export function summarize(pages: readonly Impact[]): ImpactSummary {
  const events = pages.flatMap((page) => page.results);
  const isOnce = { draft: pages[0]?.draftIsOnce === true, saved: pages[0]?.savedIsOnce === true };
  const keyOf = (event: ImpactEvent): string =>
    isOnce.draft && isOnce.saved ? event.objectId : `${event.objectId} ${event.eventId}`;
  const enrolled = (side: 'draft' | 'saved'): ReadonlyMap<string, ImpactEvent> => {
    const all = events.filter((event) => event[side]?.code === ENROLLED);
    // The newest event is first, so the last one of a record is its earliest.
    const counted = isOnce[side] ? [...new Map(all.map((event) => [event.objectId, event])).values()] : all;
    return new Map(counted.map((event) => [keyOf(event), event]));
  };
  const [draft, saved] = [enrolled('draft'), enrolled('saved')];
  const only = (some: ReadonlyMap<string, ImpactEvent>, other: ReadonlyMap<string, ImpactEvent>): ImpactEvent[] =>
    [...some].filter(([key]) => !other.has(key)).map(([, event]) => event);
  return {
    gained: only(draft, saved),
    lost: only(saved, draft),
    same: [...draft].filter(([key]) => saved.has(key)).map(([, event]) => event),
    notEnrolled: events.filter((event) => event.draft !== null && event.draft.code !== ENROLLED),
    events: events.length,
  };
}
