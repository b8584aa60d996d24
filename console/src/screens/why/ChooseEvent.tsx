import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, Navigate, useNavigate } from '@tanstack/react-router';
import { type SubmitEvent, useId, useState } from 'react';

import { ApiError } from '../../api/errors';
import { eventTypesQuery, portalQuery } from '../../api/queries';
import {
  contactByEmailQuery,
  EVENTS_A_PAGE,
  type ExplainedEvent,
  type RecordKey,
  timelineQuery,
} from '../../api/record-queries';
import { Button } from '../../components/Button';
import { categoryOf, CategoryIcon } from '../../components/categories';
import { lookOf } from '../../components/decisions';
import { eventLabel, eventSummary } from '../../components/events';
import { DecisionPill } from '../../components/Pill';
import { Empty, ErrorState, LoadingRows } from '../../components/states';
import { Time } from '../../components/Time';
import { useRowKeys } from '../../components/useRowKeys';
import { UserText } from '../../components/UserText';
import { usePortalId } from '../../shell/portal';
import { count, text } from '../../text';
import { readRecordSearch } from '../records/search';

interface ChooseEventProps {
  /** What was typed: an email address, an ID, or a type and an ID. Empty: nothing yet. */
  find: string;
}

/** Choose the record, then one of its newest events. An event whose ID is known can be named instead. */
export function ChooseEvent({ find }: ChooseEventProps) {
  const search = readRecordSearch(find);
  return (
    <>
      <RecordForm find={find} />
      {search.kind === 'email' && <ContactByEmail email={search.email} />}
      {search.kind === 'record' && <RecentEvents record={search.record} />}
    </>
  );
}

function RecordForm({ find }: ChooseEventProps) {
  const [record, setRecord] = useState(find);
  const [event, setEvent] = useState('');
  const navigate = useNavigate();
  const recordId = useId();
  const eventFieldId = useId();
  const hintId = useId();

  function submit(submitted: SubmitEvent): void {
    submitted.preventDefault();
    const search = { record: record.trim(), ...(event.trim() === '' ? {} : { event: event.trim() }) };
    if (search.record !== '') void navigate({ to: '/why', search });
  }

  return (
    <form className="choose-event" onSubmit={submit} role="search">
      <p className="soft">{text.why.choose}</p>
      <label htmlFor={recordId}>{text.why.record}</label>
      <span className="field">
        <input
          id={recordId}
          required
          placeholder={text.records.searchHint}
          autoComplete="off"
          spellCheck={false}
          value={record}
          onChange={(change) => setRecord(change.currentTarget.value)}
        />
      </span>
      <label htmlFor={eventFieldId}>{text.event.id}</label>
      <span className="field">
        <input
          id={eventFieldId}
          autoComplete="off"
          spellCheck={false}
          aria-describedby={hintId}
          value={event}
          onChange={(change) => setEvent(change.currentTarget.value)}
        />
      </span>
      <p id={hintId} className="muted small">
        {text.why.eventHint}
      </p>
      <Button type="submit" look="primary">
        {event.trim() === '' ? text.why.showEvents : text.why.show}
      </Button>
    </form>
  );
}

/** Finds the contact, and puts its ID into the address. */
function ContactByEmail({ email }: { email: string }) {
  const portalId = usePortalId();
  const contact = useQuery(contactByEmailQuery(email));
  if (contact.isPending) return <p role="status">{text.records.searching}</p>;
  if (contact.data !== undefined) {
    return <Navigate to="/why" search={{ record: `contact/${contact.data}` }} replace />;
  }
  if (contact.error instanceof ApiError && contact.error.status === 404) {
    return (
      <Empty>
        <UserText>{text.records.noContact(email, portalId)}</UserText>
      </Empty>
    );
  }
  return <ErrorState error={contact.error} onRetry={() => void contact.refetch()} />;
}

function RecentEvents({ record }: { record: RecordKey }) {
  const hasHistory = useQuery(portalQuery()).data?.historyDays !== 0;
  const timeline = useInfiniteQuery({ ...timelineQuery(record, undefined), enabled: hasHistory });
  const events = timeline.data?.pages.flatMap((page) => page.results) ?? [];
  const path = `${record.objectType}/${record.objectId}`;
  const navigate = useNavigate();
  const open = (row: number) => {
    const event = events[row]?.event.id;
    if (event !== undefined) void navigate({ to: '/why', search: { record: path, event } });
  };
  const selected = useRowKeys(events.length, open);
  if (!hasHistory) return <Empty>{text.why.noHistory}</Empty>;
  if (timeline.isPending) return <LoadingRows />;
  if (timeline.data === undefined) {
    return <ErrorState error={timeline.error} subject={path} onRetry={() => void timeline.refetch()} />;
  }
  if (events.length === 0) return <Empty>{text.record.noEvents}</Empty>;
  return (
    <section className="recent-events" aria-label={text.why.recentEvents}>
      <h2 className="eyebrow">{text.why.recentEvents}</h2>
      <ul className="card">
        {events.map((explained, index) => (
          <li
            key={`${explained.event.occurredAt} ${explained.event.id}`}
            data-row={index}
            className={index === selected ? 'selected' : ''}
          >
            <EventChoice explained={explained} path={path} />
          </li>
        ))}
      </ul>
      {timeline.hasNextPage && (
        <Button isDisabled={timeline.isFetchingNextPage} onPress={() => void timeline.fetchNextPage()}>
          {text.state.readMore(EVENTS_A_PAGE)}
        </Button>
      )}
    </section>
  );
}

function EventChoice({ explained: { event, decisions }, path }: { explained: ExplainedEvent; path: string }) {
  const catalog = useQuery(eventTypesQuery()).data ?? [];
  const told = decisions.find(({ code }) => lookOf(code).tone === 'warn') ?? decisions[0];
  return (
    <>
      <CategoryIcon category={categoryOf(event.eventType)} />
      <Link className="event-link" to="/why" search={{ record: path, event: event.id }}>
        {eventLabel(event.eventType, catalog)}
      </Link>
      <UserText className="soft truncate grow">{eventSummary(event)}</UserText>
      {told === undefined ? (
        <span className="muted small">{text.live.noDecision}</span>
      ) : (
        <>
          <DecisionPill code={told.code} />
          {decisions.length > 1 && (
            <span className="muted small num wide">
              {count(decisions.length, text.catalog.flow, text.catalog.flows)}
            </span>
          )}
        </>
      )}
      <Time iso={event.occurredAt} isAbsolute />
    </>
  );
}
