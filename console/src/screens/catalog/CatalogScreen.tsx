import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useMemo, useRef } from 'react';

import { type EventType, eventTypesQuery, flowsQuery } from '../../api/queries';
import { CategoryIcon } from '../../components/categories';
import { CodeBlock } from '../../components/CodeBlock';
import { Id } from '../../components/Id';
import { SearchField } from '../../components/SearchField';
import { Empty, ErrorState, LoadingRows } from '../../components/states';
import { useClock } from '../../shell/clock';
import { useKeys } from '../../shell/keys';
import { usePortalId } from '../../shell/portal';
import { Screen } from '../../shell/Screen';
import { count, text } from '../../text';
import { sampleEvent } from './samples';

/** The events that flows can start from, and what each of them carries. */
export default function CatalogScreen() {
  const { search = '' } = useSearch({ strict: false });
  const { eventType } = useParams({ strict: false });
  const navigate = useNavigate();
  const events = useQuery(eventTypesQuery());
  const shown = useMemo(() => (events.data ?? []).filter((event) => matches(event, search)), [events.data, search]);
  const chosen = events.data?.find((event) => event.eventType === eventType);

  const field = useRef<HTMLInputElement>(null);
  useKeys(
    text.keys.list,
    useMemo(() => [{ keys: '/', label: text.keys.filter, run: () => field.current?.focus() }], []),
  );
  const change = (next: string) =>
    void navigate({ to: '.', search: next === '' ? {} : { search: next }, replace: true });
  return (
    <Screen
      title={text.catalog.title}
      summary={events.data === undefined ? undefined : count(shown.length, text.catalog.event, text.catalog.events)}
      actions={
        <SearchField
          label={text.catalog.search}
          placeholder={text.catalog.searchHint}
          value={search}
          onChange={change}
          shortcut="/"
          inputRef={field}
        />
      }
    >
      {events.isPending ? (
        <LoadingRows />
      ) : events.data === undefined ? (
        <ErrorState error={events.error} onRetry={() => void events.refetch()} />
      ) : (
        <div className={`catalog ${eventType === undefined ? '' : 'has-choice'}`}>
          {shown.length === 0 ? (
            <Empty>{text.catalog.noMatch}</Empty>
          ) : (
            <EventList events={shown} search={search} chosen={eventType} />
          )}
          {chosen !== undefined ? (
            <EventDetail event={chosen} />
          ) : (
            <Empty>{eventType === undefined ? text.catalog.choose : text.catalog.unknown(eventType)}</Empty>
          )}
        </div>
      )}
    </Screen>
  );
}

interface EventListProps {
  events: readonly EventType[];
  search: string;
  chosen: string | undefined;
}

function EventList({ events, search, chosen }: EventListProps) {
  const categories = [...new Set(events.map((event) => event.category))];
  return (
    <nav className="event-list" aria-label={text.catalog.title}>
      {categories.map((category) => (
        <section key={category}>
          <h2 className="eyebrow">{text.catalog.category[category] ?? category}</h2>
          <ul>
            {events
              .filter((event) => event.category === category)
              .map((event) => (
                <li key={event.eventType}>
                  <Link
                    to="/catalog/$eventType"
                    params={{ eventType: event.eventType }}
                    search={search === '' ? {} : { search }}
                    aria-current={event.eventType === chosen ? 'page' : undefined}
                  >
                    <CategoryIcon category={event.category} />
                    <span className="grow">
                      <b className="truncate">{event.label}</b>
                      <code className="truncate">{event.eventType}</code>
                    </span>
                  </Link>
                </li>
              ))}
          </ul>
        </section>
      ))}
    </nav>
  );
}

function EventDetail({ event }: { event: EventType }) {
  const portalId = usePortalId();
  const { nowMs } = useClock();
  const flows = useInfiniteQuery(flowsQuery()).data?.pages.flatMap((page) => page.results) ?? [];
  const users = flows.filter((flow) => flow.eventTypes.includes(event.eventType));
  return (
    <article className="event-detail">
      <header className="row">
        <CategoryIcon category={event.category} />
        <h2>{event.label}</h2>
      </header>
      <dl className="kv">
        <dt>{text.catalog.name}</dt>
        <dd>
          <Id>{event.eventType}</Id>
        </dd>
        <dt>{text.catalog.hubspotIds}</dt>
        <dd>
          {event.eventTypeIds.length === 0
            ? text.catalog.noHubspotId
            : event.eventTypeIds.map((id) => <Id key={id}>{id}</Id>)}
        </dd>
        <dt>{text.catalog.objects}</dt>
        <dd>{event.objectTypes}</dd>
        <dt>{text.catalog.usedBy}</dt>
        <dd>
          {users.length === 0 ? (
            text.catalog.noFlow
          ) : (
            <Link className="link" to="/flows" search={{ event: event.eventType }}>
              {count(users.length, text.catalog.flow, text.catalog.flows)}
            </Link>
          )}
        </dd>
      </dl>
      <h3>{count(event.properties.length, text.catalog.property, text.catalog.properties)}</h3>
      {event.properties.length === 0 ? (
        <p className="muted">{text.catalog.noProperties}</p>
      ) : (
        <ul className="properties">
          {event.properties.map((property) => (
            <li key={property.name}>
              <PropertyDetail property={property} />
            </li>
          ))}
        </ul>
      )}
      <h3>{text.catalog.sample}</h3>
      <p className="muted">{text.catalog.sampleExplanation}</p>
      <CodeBlock label={text.catalog.sample}>{JSON.stringify(sampleEvent(event, portalId, nowMs), null, 2)}</CodeBlock>
    </article>
  );
}

function PropertyDetail({ property }: { property: EventType['properties'][number] }) {
  return (
    <details>
      <summary>
        <b>{property.label}</b> <code>{property.name}</code>
        <span className="grow" />
        <span className="muted">{text.catalog.type[property.type]}</span>
      </summary>
      <dl className="kv">
        {property.options.length > 0 && (
          <>
            <dt>{text.catalog.options}</dt>
            <dd>{property.options.join(', ')}</dd>
          </>
        )}
        {property.operations.map((operation) => (
          <div key={operation.operationType} className="operation">
            <dt>
              <code>{operation.operationType}</code>
            </dt>
            <dd>
              <code>{operation.operators.join(', ')}</code>
            </dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

/** Whether each word is in the event's names, its category or its properties. */
function matches(event: EventType, search: string): boolean {
  const content = [
    event.eventType,
    event.label,
    ...event.eventTypeIds,
    ...event.properties.flatMap((property) => [property.name, property.label]),
  ]
    .join(' ')
    .toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => content.includes(word));
}
