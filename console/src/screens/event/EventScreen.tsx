import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { ChevronLeft, SearchX } from 'lucide-react';
import { type SubmitEvent, useEffect, useId, useState } from 'react';

import { occurrenceOfDayQuery, outcomeQuery, unprocessedEventsQuery } from '../../api/event-queries';
import { eventTypesQuery, portalQuery } from '../../api/queries';
import { explainedEventQuery, readRecordPath } from '../../api/record-queries';
import { Button } from '../../components/Button';
import { dateWords } from '../../components/days';
import { routeType } from '../../components/events';
import { ErrorState, LoadingRows, StaleBar } from '../../components/states';
import { UserText } from '../../components/UserText';
import { useClock } from '../../shell/clock';
import { Screen } from '../../shell/Screen';
import { text } from '../../text';
import { FoundEventView } from './FoundEventView';
import type { FoundEvent } from './stations';
import { UnprocessedEventView } from './UnprocessedEventView';

/** One event by its id, wherever it is: in the history of a record, or among the unprocessed events, or in both. */
export function EventScreen() {
  const { _splat: eventId = '' } = useParams({ from: '/events/$' });
  const { record } = useSearch({ from: '/events/$' });
  return (
    <Screen
      title={`${text.event.title} ${eventId}`}
      back={
        <Link to="/live" className="crumb" aria-label={text.event.back}>
          <ChevronLeft size={16} strokeWidth={1.8} aria-hidden />
        </Link>
      }
    >
      <EventAnswers key={eventId} eventId={eventId} recordPath={record} />
    </Screen>
  );
}

function EventAnswers({ eventId, recordPath }: { eventId: string; recordPath: string | undefined }) {
  const outcome = useQuery(outcomeQuery(eventId));
  const unprocessed = useQuery(unprocessedEventsQuery(eventId));
  const features = useQuery(portalQuery()).data?.features;
  const isIndexed = features?.includes('findEventsById') ?? true;
  const record = recordPath === undefined ? null : readRecordPath(recordPath);
  // Without the index the outcome is refused or unknown. The record of the event finds it then.
  const isMissing = outcome.isError || outcome.data?.status === 'UNKNOWN';
  const byRecord = useQuery({
    ...explainedEventQuery(record ?? { objectType: '', objectId: '' }, eventId),
    enabled: record !== null && isMissing,
  });

  const found: readonly FoundEvent[] = outcome.data?.results.length
    ? outcome.data.results
    : (byRecord.data?.results ?? []);
  const failed = unprocessed.data?.results ?? [];
  const isPending = outcome.isPending || unprocessed.isPending || (byRecord.isLoading && isMissing);
  const answers = found.length + failed.length;

  if (answers === 0 && isPending) return <LoadingRows />;
  if (answers === 0 && outcome.error !== null && isIndexed) {
    return <ErrorState error={outcome.error} onRetry={() => void outcome.refetch()} />;
  }
  return (
    <div className="event-body">
      {outcome.isRefetchError && (
        <StaleBar updatedAtMs={outcome.dataUpdatedAt} onRetry={() => void outcome.refetch()} />
      )}
      {answers > 1 && <p className="muted small">{text.event.answers(answers)}</p>}
      {found.map((result) => (
        <FoundEventView key={`${result.event.objectId} ${result.event.occurredAt}`} found={result} />
      ))}
      {failed.map((summary) => (
        <UnprocessedEventView key={summary.id} summary={summary} />
      ))}
      {(unprocessed.isError || unprocessed.data?.isComplete === false) && (
        <p className="muted small" role="status">
          {text.event.queueNotRead}{' '}
          <Button isSmall look="quiet" onPress={() => void unprocessed.refetch()}>
            {text.state.retry}
          </Button>
        </p>
      )}
      {answers === 0 && (
        <Unknown
          eventId={eventId}
          since={outcome.data?.since}
          isLooking={outcome.isFetching || unprocessed.isFetching}
          onLookAgain={() => void Promise.all([outcome.refetch(), unprocessed.refetch()])}
        />
      )}
      {answers === 0 && !isIndexed && <FindByDay eventId={eventId} />}
    </div>
  );
}

interface UnknownProps {
  eventId: string;
  since: string | undefined;
  isLooking: boolean;
  onLookAgain: () => void;
}

function Unknown({ eventId, since, isLooking, onLookAgain }: UnknownProps) {
  const { nowMs, timeZone } = useClock();
  return (
    <div className="state" role="status">
      <SearchX size={24} strokeWidth={1.5} aria-hidden />
      <h2>{text.event.unknown}</h2>
      <p>
        <UserText className="mono">{eventId}</UserText>
      </p>
      <p>{text.event.unknownBecause}</p>
      <p>{text.event.unknownCheck}</p>
      {since !== undefined && (
        <p className="muted num">{text.event.keptSince(dateWords(since, nowMs, { timeZone }))}</p>
      )}
      <Button onPress={onLookAgain} isDisabled={isLooking}>
        {text.event.lookAgain}
      </Button>
    </div>
  );
}

/** In a stack without the index: the type and the day find the record of the event. */
function FindByDay({ eventId }: { eventId: string }) {
  const catalog = useQuery(eventTypesQuery()).data ?? [];
  const [eventType, setEventType] = useState('');
  const [day, setDay] = useState('');
  const [asked, setAsked] = useState<{ eventType: string; day: string } | null>(null);
  const navigate = useNavigate();
  const occurrence = useQuery({
    ...occurrenceOfDayQuery(eventId, asked?.eventType ?? '', asked?.day ?? ''),
    enabled: asked !== null,
  });
  const [first] = occurrence.data?.results ?? [];
  const typeId = useId();
  const dayId = useId();

  useEffect(() => {
    if (first === undefined) return;
    const record = `${routeType(first.objectType)}/${first.objectId}`;
    void navigate({ to: '/events/$', params: { _splat: eventId }, search: { record }, replace: true });
  }, [first, eventId, navigate]);

  function submit(event: SubmitEvent): void {
    event.preventDefault();
    setAsked({ eventType, day });
  }

  return (
    <form className="by-day card" onSubmit={submit}>
      <p>{text.event.findByDay}</p>
      <label htmlFor={typeId}>{text.event.type}</label>
      <select id={typeId} required value={eventType} onChange={(event) => setEventType(event.currentTarget.value)}>
        <option value="" />
        {catalog.map((type) => (
          <option key={type.eventType} value={type.eventType}>
            {type.label}
          </option>
        ))}
      </select>
      <label htmlFor={dayId}>{text.event.day}</label>
      <input id={dayId} type="date" required value={day} onChange={(event) => setDay(event.currentTarget.value)} />
      <Button type="submit" look="primary" isDisabled={occurrence.isFetching}>
        {text.event.find}
      </Button>
      {asked !== null && occurrence.data !== undefined && first === undefined && (
        <p role="status">{text.event.notOnDay}</p>
      )}
      {occurrence.error !== null && <ErrorState error={occurrence.error} />}
    </form>
  );
}
