import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { TriangleAlert } from 'lucide-react';

import { eventTypesQuery, flowsQuery, portalQuery } from '../../api/queries';
import {
  EVENTS_A_PAGE,
  type ExplainedEvent,
  type RecordKey,
  timelineQuery,
  unprocessedOfRecordQuery,
} from '../../api/record-queries';
import { Button } from '../../components/Button';
import { categoryOf, CategoryIcon } from '../../components/categories';
import { dateWords, dayOf, dayWords } from '../../components/days';
import { type DecisionCode, DECISIONS } from '../../components/decisions';
import { eventLabel, eventSummary } from '../../components/events';
import { FilterChip } from '../../components/FilterChip';
import { flowName } from '../../components/flow-names';
import { Note } from '../../components/Note';
import { ErrorState, Loading, Placeholder, StaleBar } from '../../components/states';
import { Time } from '../../components/Time';
import { UserText } from '../../components/UserText';
import { without } from '../../components/without';
import { DecisionCard } from '../../explanations/DecisionCard';
import { useClock } from '../../shell/clock';
import { text } from '../../text';
import type { RecordViewSearch } from './addresses';

const ROUTE = '/records/$objectType/$objectId';

interface TimelineProps {
  record: RecordKey;
  objectTypeId: string;
}

/** The events of a record by day, each with what the flows decided. */
export function Timeline({ record, objectTypeId }: TimelineProps) {
  const { flow, code } = useSearch({ from: ROUTE });
  const { nowMs, timeZone } = useClock();
  const hasHistory = useQuery(portalQuery()).data?.historyDays !== 0;
  const timeline = useInfiniteQuery({ ...timelineQuery(record, flow), enabled: hasHistory });
  const pages = timeline.data?.pages ?? [];
  const all = pages.flatMap((page) => page.results);
  const events = code === undefined ? all : all.filter(({ decisions }) => decisions.some((each) => each.code === code));
  const since = pages.at(-1)?.since;
  const openKey = firstKeptOut(events, code);

  return (
    <section className="tl" tabIndex={0} aria-label={text.record.timeline} aria-busy={timeline.isFetching}>
      <div className="tl-tools">
        <TimelineFilters record={record} objectTypeId={objectTypeId} />
        <span className="grow" />
        {since !== undefined && (
          <span className="muted small num wide">{text.record.reaches(dateWords(since, nowMs, { timeZone }))}</span>
        )}
      </div>
      <Unprocessed record={record} />
      {timeline.isRefetchError && (
        <StaleBar updatedAtMs={timeline.dataUpdatedAt} onRetry={() => void timeline.refetch()} />
      )}
      {!hasHistory ? (
        <p className="muted padded-y">{text.record.noHistory}</p>
      ) : timeline.isPending ? (
        <TimelineSkeleton />
      ) : timeline.data === undefined ? (
        <ErrorState error={timeline.error} onRetry={() => void timeline.refetch()} />
      ) : (
        <>
          {events.length === 0 && (
            <p className="muted padded-y">
              {code !== undefined && all.length > 0
                ? text.record.noEventsOfDecision
                : flow !== undefined
                  ? text.record.noEventsOfFlow
                  : text.record.noEvents}
            </p>
          )}
          {byDay(events, timeZone).map(({ day, events: ofDay }) => (
            <section key={day}>
              <h2 className="day">{dayWords(ofDay[0]?.event.occurredAt ?? day, nowMs, { timeZone })}</h2>
              <ol>
                {ofDay.map((explained) => (
                  <TimelineEvent
                    key={keyOf(explained)}
                    explained={explained}
                    record={record}
                    code={code}
                    isOpenAtFirst={keyOf(explained) === openKey}
                  />
                ))}
              </ol>
            </section>
          ))}
          <div className="tl-end">
            {timeline.hasNextPage ? (
              <Button isDisabled={timeline.isFetchingNextPage} onPress={() => void timeline.fetchNextPage()}>
                {text.state.readMore(EVENTS_A_PAGE)}
              </Button>
            ) : (
              since !== undefined && (
                <p className="muted small num">{text.record.end(dateWords(since, nowMs, { timeZone }))}</p>
              )
            )}
            <p className="muted small">{text.record.decidedAgain}</p>
          </div>
        </>
      )}
    </section>
  );
}

interface TimelineEventProps {
  explained: ExplainedEvent;
  record: RecordKey;
  code: DecisionCode | undefined;
  isOpenAtFirst: boolean;
}

function TimelineEvent({ explained, record, code, isOpenAtFirst }: TimelineEventProps) {
  const { event, decisions } = explained;
  const catalog = useQuery(eventTypesQuery()).data ?? [];
  const shown = code === undefined ? decisions : decisions.filter((decision) => decision.code === code);
  const toOpen = isOpenAtFirst ? shown.find((decision) => isKeptOut(decision.code)) : undefined;
  const path = `${record.objectType}/${record.objectId}`;
  return (
    <li className="it">
      <CategoryIcon category={categoryOf(event.eventType)} />
      <div className="grow">
        <header>
          <Link className="event-link" to="/events/$" params={{ _splat: event.id }} search={{ record: path }}>
            {eventLabel(event.eventType, catalog)}
          </Link>
          <UserText className="soft truncate">{eventSummary(event)}</UserText>
          <Time iso={event.occurredAt} isAbsolute />
        </header>
        {decisions.length === 0 ? (
          <p className="muted small">{text.record.noFlow}</p>
        ) : (
          <div className="ds">
            {shown.map((account) => (
              <DecisionCard
                key={account.flowId}
                account={account}
                isOpenAtFirst={account === toOpen}
                links={
                  <Link className="link" to="/why" search={{ record: path, event: event.id }}>
                    {text.event.whyNot}
                  </Link>
                }
              />
            ))}
          </div>
        )}
        {explained.warnings?.map((warning) => (
          <p key={warning} className="muted small">
            {text.event.ignored}: <UserText>{warning}</UserText>
          </p>
        ))}
      </div>
    </li>
  );
}

function TimelineFilters({ record, objectTypeId }: TimelineProps) {
  const search = useSearch({ from: ROUTE });
  const navigate = useNavigate();
  const flows = useInfiniteQuery(flowsQuery()).data?.pages.flatMap((page) => page.results) ?? [];
  const change = (next: RecordViewSearch) =>
    void navigate({ to: ROUTE, params: { ...record }, search: next, replace: true });
  return (
    <>
      <FilterChip
        label={text.record.flow}
        value={search.flow ?? null}
        options={flows
          .filter((flow) => flow.objectTypeId === objectTypeId)
          .map((flow) => ({ id: flow.id, label: flowName(flow.id, flow.name), detail: flow.id }))}
        onChange={(flow) => {
          const others = without(search, 'flow');
          change(flow === null ? others : { ...others, flow });
        }}
      />
      <FilterChip
        label={text.record.decision}
        value={search.code ?? null}
        options={Object.entries(DECISIONS).map(([id, { words }]) => ({ id, label: words }))}
        onChange={(code) => {
          const others = without(search, 'code');
          change(code === null ? others : { ...others, code: code as DecisionCode });
        }}
      />
    </>
  );
}

/** A line for the events of this record that were not processed. */
function Unprocessed({ record }: { record: RecordKey }) {
  const unprocessed = useQuery(unprocessedOfRecordQuery(record)).data?.results ?? [];
  if (unprocessed.length === 0) return null;
  return (
    <Note tone="bad" icon={TriangleAlert}>
      <b>{text.record.unprocessed(unprocessed.length)}</b>
      <ul className="unprocessed-ids">
        {unprocessed.map(({ id, eventId, reason }) => (
          <li key={id}>
            {eventId === null ? (
              <code>
                <UserText>{reason}</UserText>
              </code>
            ) : (
              <Link className="link" to="/events/$" params={{ _splat: eventId }}>
                <UserText>{eventId}</UserText>: <UserText>{reason}</UserText>
              </Link>
            )}
          </li>
        ))}
      </ul>
    </Note>
  );
}

function TimelineSkeleton() {
  return (
    <Loading>
      {Array.from({ length: 5 }, (_, row) => (
        <div key={row} className="it">
          <span className="tile" />
          <div className="grow">
            <header>
              <Placeholder size="m" />
            </header>
            <div className="ds skeleton" />
          </div>
        </div>
      ))}
    </Loading>
  );
}

/** Decisions by which the flow's own criteria kept the record out. */
const KEPT_OUT: ReadonlySet<DecisionCode | null> = new Set(['FILTERED_OUT', 'SUPPRESSED', 'GOAL_MET']);

const isKeptOut = (code: DecisionCode | null): boolean => KEPT_OUT.has(code);

/** The key of the event whose explanation is open at first: the latest at which a flow's criteria kept the record out. */
function firstKeptOut(events: readonly ExplainedEvent[], code: DecisionCode | undefined): string | null {
  const event = events.find(({ decisions }) =>
    decisions.some((each) => isKeptOut(each.code) && (code === undefined || each.code === code)),
  );
  return event === undefined ? null : keyOf(event);
}

const keyOf = ({ event }: ExplainedEvent): string => `${event.occurredAt} ${event.id}`;

function byDay(events: readonly ExplainedEvent[], timeZone: string | undefined) {
  const days = new Map<string, ExplainedEvent[]>();
  for (const explained of events) {
    const day = dayOf(explained.event.occurredAt, { timeZone });
    days.set(day, [...(days.get(day) ?? []), explained]);
  }
  return [...days].map(([day, ofDay]) => ({ day, events: ofDay }));
}
