import { useQuery } from '@tanstack/react-query';

import { type UnprocessedSummary, unprocessedEventQuery } from '../../api/event-queries';
import { CodeBlock } from '../../components/CodeBlock';
import { Id } from '../../components/Id';
import { Note } from '../../components/Note';
import { RecordLink } from '../../components/RecordLink';
import { Loading, messageOf, Placeholder } from '../../components/states';
import { Time } from '../../components/Time';
import { UserText } from '../../components/UserText';
import { text } from '../../text';
import { stationsOfUnprocessed } from './stations';
import { Stations } from './Stations';

/** An event that was not processed: why, where in the event, and its content. */
export function UnprocessedEventView({ summary }: { summary: UnprocessedSummary }) {
  const whole = useQuery(unprocessedEventQuery(summary.id));
  const { reason, message, field, eventType, objectTypeId, objectId, keptSince } = summary;
  return (
    <article className="event">
      <div className="event-head">
        <h2>
          <UserText>{text.event.unprocessedTitle(reason)}</UserText>
        </h2>
      </div>
      <Stations stations={stationsOfUnprocessed(summary)} />
      <Note tone="bad">
        <UserText>{message}</UserText>
        <br />
        {text.event.fix}
      </Note>
      <dl className="kv num">
        {field !== null && (
          <div>
            <dt>{text.event.field}</dt>
            <dd>
              <Id>{field}</Id>
            </dd>
          </div>
        )}
        {eventType !== null && (
          <div>
            <dt>{text.event.type}</dt>
            <dd>
              <UserText>{eventType}</UserText>
            </dd>
          </div>
        )}
        {objectTypeId !== null && objectId !== null && (
          <div>
            <dt>{text.event.record}</dt>
            <dd>
              <RecordLink objectTypeId={objectTypeId} objectId={objectId} />
            </dd>
          </div>
        )}
        <div>
          <dt>{text.event.received}</dt>
          <dd>
            <Time iso={keptSince} />
          </dd>
        </div>
      </dl>
      <h3>{text.event.jsonOf}</h3>
      {whole.isPending ? (
        <Loading>
          <Placeholder size="l" />
        </Loading>
      ) : whole.data === undefined ? (
        <p role="alert" className="small">
          {messageOf(whole.error)}
        </p>
      ) : (
        <CodeBlock label={text.event.jsonOf}>{JSON.stringify(whole.data.event, null, 2)}</CodeBlock>
      )}
    </article>
  );
}
