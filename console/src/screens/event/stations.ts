/** The stations of an event: sent, kept, decided, enrolled, published. */

import type { OutcomeResult, UnprocessedSummary } from '../../api/event-queries';
import type { ExplainedEvent } from '../../api/record-queries';
import { routeType } from '../../components/events';
import { text } from '../../text';

export interface Station {
  name: string;
  state: 'done' | 'open' | 'failed' | 'skipped';
  /** ISO 8601, if the time is known. */
  at?: string | undefined;
  detail?: string | undefined;
}

/** An event with its decisions. `status` is absent if it was found by its record. */
export type FoundEvent = ExplainedEvent & Partial<Pick<OutcomeResult, 'status' | 'waitingUntil'>>;

const words = text.event.station;

/** Return the stations of an event that is kept. */
export function stationsOf({ event, decisions, status, waitingUntil }: FoundEvent): Station[] {
  const isWaiting = status === 'WAITING' || (status === undefined && decisions.some(({ code }) => code === 'WAITING'));
  const enrollments = decisions.flatMap(({ enrollment }) => (enrollment === null ? [] : [enrollment]));
  const decided = decisions.filter(({ code }) => code !== null).length;
  const decision: Station = isWaiting
    ? { name: words.waiting, state: 'open', at: waitingUntil }
    : status === 'IN_PROGRESS'
      ? { name: words.inProgress, state: 'open' }
      : { name: words.decided, state: 'done', detail: text.event.flows(decided) };
  return [
    { name: words.sent, state: 'done', at: event.sentAt, detail: text.event.byRule(event.source) },
    { name: words.kept, state: 'done', detail: text.event.of(`${routeType(event.objectType)}/${event.objectId}`) },
    decision,
    ...enrollmentStations(enrollments, decision.state === 'done'),
  ];
}

type EnrollmentOfEvent = NonNullable<ExplainedEvent['decisions'][number]['enrollment']>;

function enrollmentStations(enrollments: readonly EnrollmentOfEvent[], isDecided: boolean): Station[] {
  if (enrollments.length === 0) {
    return isDecided
      ? [{ name: words.notEnrolled, state: 'skipped' }]
      : [
          { name: words.enrolled, state: 'skipped' },
          { name: words.published, state: 'skipped' },
        ];
  }
  const first = enrollments.map(({ enrolledAt }) => enrolledAt).sort()[0];
  const unpublished = enrollments.filter(({ isPublished }) => !isPublished);
  const due = unpublished.flatMap(({ dueAt }) => (dueAt === undefined ? [] : [dueAt])).sort()[0];
  return [
    { name: words.enrolled, state: 'done', at: first, detail: text.event.inFlows(enrollments.length) },
    { name: words.published, state: unpublished.length === 0 ? 'done' : 'open', at: due },
  ];
}

/** Return the stations of an event that was not processed. */
export const stationsOfUnprocessed = ({ reason, keptSince }: UnprocessedSummary): Station[] => [
  { name: words.sent, state: 'done' },
  { name: text.event.unprocessedTitle(reason), state: 'failed', at: keptSince },
];
