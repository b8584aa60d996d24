import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { explainedEventQuery, type RecordKey } from '../../api/record-queries';
import { CodeBlock } from '../../components/CodeBlock';
import { EventFacts, EventHeading, EventProperties } from '../../components/EventFacts';
import { routeType } from '../../components/events';
import { flowName } from '../../components/flow-names';
import { messageOf } from '../../components/states';
import { UserText } from '../../components/UserText';
import { DecisionCard } from '../../explanations/DecisionCard';
import type { Account } from '../../explanations/steps';
import { text } from '../../text';
import { type FoundEvent, stationsOf } from './stations';
import { Stations } from './Stations';

/** How many enrollments of one event, and how many events in a row, are followed. Each costs about 24 read units. */
const FOLLOWED_AT_ONCE = 10;
const FOLLOWED_IN_A_ROW = 3;

/** An event that is kept: its stations, decisions, enrollments, what it led to, and its content. */
export function FoundEventView({ found }: { found: FoundEvent }) {
  const { event, decisions } = found;
  const record: RecordKey = { objectType: routeType(event.objectType), objectId: event.objectId };
  const path = `${record.objectType}/${record.objectId}`;
  const enrolled = decisions.filter((decision) => decision.enrollment !== null);
  return (
    <article className="event">
      <div className="event-head">
        <EventHeading event={event} />
        <Link className="btn small" to="/why" search={{ record: path, event: event.id }}>
          {text.event.whyNot}
        </Link>
      </div>
      <Stations stations={stationsOf(found)} />
      <div className="event-columns">
        <div className="event-main">
          <section>
            <h3>{text.event.decisions}</h3>
            <Decisions decisions={decisions} />
          </section>
          {enrolled.length > 0 && (
            <section>
              <h3>{text.event.ledTo}</h3>
              <LedTo decisions={decisions} record={record} depth={1} />
            </section>
          )}
          {enrolled.map(({ enrollment, flowName: name, flowId }) => (
            <details key={flowId} className="message">
              <summary>{text.event.messageOf(flowName(flowId, name))}</summary>
              <CodeBlock label={text.event.messageOf(flowName(flowId, name))}>
                {JSON.stringify(enrollment, null, 2)}
              </CodeBlock>
            </details>
          ))}
        </div>
        <aside className="event-side" aria-label={text.event.properties}>
          <EventFacts event={event} />
          <h3>{text.event.properties}</h3>
          <EventProperties event={event} />
          {found.warnings?.map((warning) => (
            <p key={warning} className="muted small">
              {text.event.ignored}: <UserText>{warning}</UserText>
            </p>
          ))}
          <details className="message">
            <summary>{text.event.jsonOf}</summary>
            <CodeBlock label={text.event.jsonOf}>{JSON.stringify(event, null, 2)}</CodeBlock>
          </details>
        </aside>
      </div>
    </article>
  );
}

function Decisions({ decisions }: { decisions: readonly Account[] }) {
  if (decisions.length === 0) return <p className="muted small">{text.record.noFlow}</p>;
  return (
    <div className="ds">
      {decisions.map((account) => (
        <DecisionCard key={account.flowId} account={account} />
      ))}
    </div>
  );
}

interface LedToProps {
  decisions: readonly Account[];
  record: RecordKey;
  depth: number;
}

/** The chain: each enrollment is an event itself (`workflows.enrolled`), which has decisions. */
function LedTo({ decisions, record, depth }: LedToProps) {
  const enrolled = decisions.filter(({ code, enrollment }) => code === 'ENROLLED' && enrollment !== null);
  if (enrolled.length === 0) return null;
  return (
    <ol className="chain">
      {enrolled.slice(0, FOLLOWED_AT_ONCE).map((account) => (
        <ChainLink key={account.flowId} account={account} record={record} depth={depth} />
      ))}
    </ol>
  );
}

function ChainLink({ account, record, depth }: { account: Account; record: RecordKey; depth: number }) {
  const eventId = account.enrollment?.enrollmentId ?? '';
  // The id of an enrollment is the id of the event that announces it.
  const answer = useQuery({ ...explainedEventQuery(record, eventId), retry: false });
  const decisions = answer.data?.results[0]?.decisions;
  return (
    <li>
      <p>
        <Link
          className="link"
          to="/events/$"
          params={{ _splat: eventId }}
          search={{ record: `${record.objectType}/${record.objectId}` }}
        >
          {text.event.enrollmentIn(flowName(account.flowId, account.flowName))}
        </Link>
      </p>
      {answer.error !== null && <p className="muted small">{messageOf(answer.error)}</p>}
      {decisions !== undefined && (
        <>
          <Decisions decisions={decisions} />
          {depth < FOLLOWED_IN_A_ROW && <LedTo decisions={decisions} record={record} depth={depth + 1} />}
        </>
      )}
    </li>
  );
}
