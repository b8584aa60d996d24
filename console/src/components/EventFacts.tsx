import { useQuery } from '@tanstack/react-query';

import { eventTypesQuery } from '../api/queries';
import { text } from '../text';
import { categoryOf, CategoryIcon } from './categories';
import { eventLabel, type EventOccurrence, eventSummary, routeType } from './events';
import { Id } from './Id';
import { RecordLink } from './RecordLink';
import { Time } from './Time';
import { useRecordNames } from './useRecordNames';
import { UserText } from './UserText';

/** What happened, in words, with the icon of its category. */
export function EventHeading({ event }: { event: EventOccurrence }) {
  const catalog = useQuery(eventTypesQuery()).data ?? [];
  return (
    <>
      <CategoryIcon category={categoryOf(event.eventType)} />
      <h2>{eventLabel(event.eventType, catalog)}</h2>
      <UserText className="soft truncate grow">{eventSummary(event)}</UserText>
    </>
  );
}

/** The ID, record, times and source of an event. */
export function EventFacts({ event }: { event: EventOccurrence }) {
  const key = { objectType: routeType(event.objectType), objectId: event.objectId };
  const nameOf = useRecordNames([key]);
  const name = nameOf(key);
  const path = `${key.objectType}/${key.objectId}`;
  return (
    <dl className="kv num">
      <div>
        <dt>{text.event.id}</dt>
        <dd>
          <Id>{event.id}</Id>
        </dd>
      </div>
      <div>
        <dt>{text.event.type}</dt>
        <dd>
          <code>
            <UserText>{event.eventType}</UserText>
          </code>
        </dd>
      </div>
      <div>
        <dt>{text.event.record}</dt>
        <dd>
          <RecordLink objectTypeId={event.objectType} objectId={event.objectId} name={name} />{' '}
          {name !== undefined && name !== path && <UserText className="muted">{path}</UserText>}
        </dd>
      </div>
      <div>
        <dt>{text.event.occurred}</dt>
        <dd>
          <Time iso={event.occurredAt} isAbsolute />
        </dd>
      </div>
      <div>
        <dt>{text.event.sent}</dt>
        <dd>
          <Time iso={event.sentAt} isAbsolute />
        </dd>
      </div>
      <div>
        <dt>{text.event.source}</dt>
        <dd>
          <UserText>{event.source}</UserText>
        </dd>
      </div>
    </dl>
  );
}

/** The properties of an event by their labels. An address of the web is a link. */
export function EventProperties({ event }: { event: EventOccurrence }) {
  const catalog = useQuery(eventTypesQuery()).data ?? [];
  const known = catalog.find((type) => type.eventType === event.eventType)?.properties ?? [];
  const properties = Object.entries(event.properties);
  if (properties.length === 0) return <p className="muted small">{text.event.noProperties}</p>;
  return (
    <dl className="kv num">
      {properties.map(([name, value]) => (
        <div key={name}>
          <dt>
            <UserText title={name}>{known.find((property) => property.name === name)?.label ?? name}</UserText>
          </dt>
          <dd>
            {isWebAddress(value) ? (
              <a className="link" href={value} target="_blank" rel="noreferrer noopener">
                <UserText>{value}</UserText>
              </a>
            ) : (
              <UserText>{value}</UserText>
            )}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function isWebAddress(value: string): boolean {
  try {
    return ['http:', 'https:'].includes(new URL(value).protocol) && /^https?:\/\//i.test(value);
  } catch {
    return false;
  }
}
