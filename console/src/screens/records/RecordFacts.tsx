import { useInfiniteQuery, useQueries, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { eventTypesQuery } from '../../api/queries';
import {
  ASSOCIATED_TYPES,
  associatedQuery,
  type Enrollment,
  enrollmentsOfRecordQuery,
  ENROLLMENTS_A_PAGE,
  type RecordKey,
  type WholeRecord,
} from '../../api/record-queries';
import { Button } from '../../components/Button';
import { dateWords } from '../../components/days';
import { eventLabel } from '../../components/events';
import { flowName } from '../../components/flow-names';
import { RecordLink } from '../../components/RecordLink';
import { Loading, messageOf, Placeholder } from '../../components/states';
import { Time } from '../../components/Time';
import { formatClock } from '../../components/times';
import { useRecordNames } from '../../components/useRecordNames';
import { UserText } from '../../components/UserText';
import { foundWords } from '../../explanations/found';
import { useClock } from '../../shell/clock';
import { formatNumber, text } from '../../text';

interface RecordFactsProps {
  recordKey: RecordKey;
  record: WholeRecord;
}

/** Beside the timeline: enrollments, properties, lists and associated records. */
export function RecordFacts({ recordKey, record }: RecordFactsProps) {
  const { nowMs, timeZone } = useClock();
  const date = (iso: string) => (
    <time dateTime={iso} title={new Date(iso).toISOString()}>
      {dateWords(iso, nowMs, { timeZone })}
    </time>
  );
  const properties = Object.entries(record.properties);
  return (
    <aside className="facts" tabIndex={0} aria-label={text.record.facts}>
      <Enrollments record={recordKey} />
      <section>
        <Head title={text.record.properties} amount={properties.length} />
        {properties.length === 0 ? (
          <p className="muted small">{text.record.noProperties}</p>
        ) : (
          <dl className="kv num">
            {properties.map(([name, { value, changedAt }]) => (
              <div key={name}>
                <dt className="truncate">
                  <UserText title={name}>{name}</UserText>
                </dt>
                <dd>
                  <UserText className="truncate" title={foundWords(value)}>
                    {foundWords(value)}
                  </UserText>
                  {date(changedAt)}
                </dd>
              </div>
            ))}
          </dl>
        )}
      </section>
      {record.lists.length > 0 && (
        <section>
          <Head title={text.record.lists} amount={record.lists.length} />
          <dl className="kv num">
            {record.lists.map(({ listId, isMember, changedAt }) => (
              <div key={listId}>
                <dt className="truncate">
                  <UserText>{text.record.list(listId)}</UserText>
                </dt>
                <dd>
                  {isMember ? text.record.member : text.record.noMember}
                  {date(changedAt)}
                </dd>
              </div>
            ))}
          </dl>
        </section>
      )}
      <Associated record={recordKey} />
    </aside>
  );
}

const Head = ({ title, amount }: { title: string; amount?: number | undefined }) => (
  <h2>
    {title} {amount !== undefined && <span className="num">{formatNumber(amount)}</span>}
  </h2>
);

/** The enrollments of a record, which may be deleted. */
export function Enrollments({ record }: { record: RecordKey }) {
  const enrollments = useInfiniteQuery(enrollmentsOfRecordQuery(record));
  const all = enrollments.data?.pages.flatMap((page) => page.results) ?? [];
  const isWhole = enrollments.data !== undefined && !enrollments.hasNextPage;
  return (
    <section aria-label={text.record.enrollments}>
      <Head title={text.record.enrollments} amount={isWhole ? all.length : undefined} />
      {enrollments.isPending ? (
        <Loading>
          <Placeholder size="m" />
        </Loading>
      ) : enrollments.data === undefined ? (
        <p role="alert" className="small">
          {messageOf(enrollments.error)}
        </p>
      ) : all.length === 0 ? (
        <p className="muted small">{text.record.noEnrollments}</p>
      ) : (
        <ul className="en num">
          {all.map((enrollment) => (
            <EnrollmentRow key={enrollment.enrollmentId} enrollment={enrollment} />
          ))}
        </ul>
      )}
      {enrollments.hasNextPage && (
        <Button
          isSmall
          look="quiet"
          isDisabled={enrollments.isFetchingNextPage}
          onPress={() => void enrollments.fetchNextPage()}
        >
          {text.state.readMore(ENROLLMENTS_A_PAGE)}
        </Button>
      )}
    </section>
  );
}

function EnrollmentRow({ enrollment }: { enrollment: Enrollment }) {
  const catalog = useQuery(eventTypesQuery()).data ?? [];
  const { nowMs, timeZone } = useClock();
  const { eventType, eventId } = enrollment.trigger;
  const state = enrollment.isPublished
    ? text.record.published
    : enrollment.dueAt === undefined
      ? text.record.notPublished
      : text.record.due(formatClock(enrollment.dueAt, nowMs, { timeZone }));
  const name = flowName(enrollment.flowId, enrollment.flowName);
  return (
    <li>
      {typeof eventId === 'string' ? (
        <Link className="truncate" to="/events/$" params={{ _splat: eventId }}>
          <UserText>{name}</UserText>
        </Link>
      ) : (
        <UserText className="truncate">{name}</UserText>
      )}
      <Time iso={enrollment.enrolledAt} isAbsolute />
      <small>{text.record.by(eventLabel(eventType, catalog), state)}</small>
    </li>
  );
}

/** Associated records of each type: one request for a type, and one for the names of its records. */
function Associated({ record }: { record: RecordKey }) {
  const answers = useQueries({ queries: ASSOCIATED_TYPES.map((type) => associatedQuery(record, type)) });
  const associated = ASSOCIATED_TYPES.flatMap((objectType, index) =>
    (answers[index]?.data?.results ?? []).map(({ toObjectId }) => ({ objectType, objectId: toObjectId })),
  );
  const nameOf = useRecordNames(associated);
  const isLoading = answers.some((answer) => answer.isPending);
  const failed = answers.find((answer) => answer.error !== null)?.error ?? null;
  return (
    <section>
      <Head title={text.record.associated} amount={isLoading ? undefined : associated.length} />
      {failed !== null && (
        <p role="alert" className="small">
          {messageOf(failed)}
        </p>
      )}
      {associated.length === 0 && !isLoading && failed === null && (
        <p className="muted small">{text.record.noAssociated}</p>
      )}
      <dl className="kv num">
        {associated.map(({ objectType, objectId }) => (
          <div key={`${objectType}/${objectId}`}>
            <dt className="truncate">
              <UserText>{`${objectType}/${objectId}`}</UserText>
            </dt>
            <dd>
              <RecordLink objectTypeId={objectType} objectId={objectId} name={nameOf({ objectType, objectId })} />
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
