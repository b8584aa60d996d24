import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { ChevronLeft } from 'lucide-react';
import { useEffect, useState } from 'react';

import { type RecordKey, recordQuery, type WholeRecord } from '../../api/record-queries';
import { CodeBlock } from '../../components/CodeBlock';
import { dateWords } from '../../components/days';
import { Id } from '../../components/Id';
import { recordName } from '../../components/records';
import { SearchField } from '../../components/SearchField';
import { ErrorState, LoadingRows, StaleBar } from '../../components/states';
import { Tabs } from '../../components/Tabs';
import { visibleControls } from '../../components/user-text';
import { UserText } from '../../components/UserText';
import { useClock } from '../../shell/clock';
import { usePortalId } from '../../shell/portal';
import { text } from '../../text';
import { type Tab, TABS } from './addresses';
import { DeletedRecord, deletionTime } from './DeletedRecord';
import { FlowsTab } from './FlowsTab';
import { PropertiesTab } from './PropertiesTab';
import { rememberRecord } from './recent';
import { RecordFacts } from './RecordFacts';
import { Timeline } from './Timeline';

/** All about one record: what happened, what each flow decided and why, and where it is enrolled. */
export function RecordScreen() {
  const { objectType, objectId } = useParams({ from: '/records/$objectType/$objectId' });
  const { tab = 'timeline' } = useSearch({ from: '/records/$objectType/$objectId' });
  const portalId = usePortalId();
  const key: RecordKey = { objectType, objectId };
  const record = useQuery(recordQuery(key));
  const path = `${objectType}/${objectId}`;
  const name = record.data === undefined ? path : nameOf(record.data);
  const isKnown = record.data !== undefined;
  const deletedAt = deletionTime(record.error);

  useEffect(() => {
    document.title = text.pageTitle(visibleControls(name));
  }, [name]);
  useEffect(() => {
    if (isKnown) rememberRecord(portalId, { objectType, objectId });
  }, [isKnown, portalId, objectType, objectId]);

  return (
    <>
      <header className="top record-top">
        <Link className="back row" to="/records">
          <ChevronLeft size={14} strokeWidth={1.8} aria-hidden />
          {text.record.back}
        </Link>
        <span className="grow" />
        <FindRecord />
      </header>
      {record.isRefetchError && <StaleBar updatedAtMs={record.dataUpdatedAt} onRetry={() => void record.refetch()} />}
      {record.isPending ? (
        <LoadingRows />
      ) : record.data === undefined ? (
        <>
          <h1 className={deletedAt === undefined ? 'sr' : 'deleted-record'}>
            <UserText>{path}</UserText>
          </h1>
          {deletedAt === undefined ? (
            <ErrorState error={record.error} subject={path} onRetry={() => void record.refetch()} />
          ) : (
            <DeletedRecord record={key} deletedAt={deletedAt} />
          )}
        </>
      ) : (
        <>
          <RecordHead record={record.data} path={path} />
          <RecordTabs recordKey={key} properties={Object.keys(record.data.properties).length} selected={tab} />
          {tab === 'timeline' ? (
            <div className="rec">
              <Timeline key={path} record={key} objectTypeId={record.data.objectTypeId} />
              <RecordFacts recordKey={key} record={record.data} />
            </div>
          ) : (
            <div className="body" tabIndex={0} role="region" aria-label={text.record[tab]}>
              {tab === 'flows' ? (
                <FlowsTab record={key} objectTypeId={record.data.objectTypeId} />
              ) : tab === 'properties' ? (
                <PropertiesTab record={record.data} recordKey={key} />
              ) : (
                <div className="padded">
                  <CodeBlock label={text.record.json}>{JSON.stringify(record.data, null, 2)}</CodeBlock>
                </div>
              )}
            </div>
          )}
        </>
      )}
    </>
  );
}

function FindRecord() {
  const [typed, setTyped] = useState('');
  const navigate = useNavigate();
  return (
    <div role="search" className="wide">
      <SearchField
        label={text.records.search}
        placeholder={text.records.searchHint}
        value={typed}
        onChange={setTyped}
        onEnter={() => typed.trim() !== '' && void navigate({ to: '/records', search: { find: typed.trim() } })}
      />
    </div>
  );
}

/** Properties that stand beside the name, because they say most about a record. */
const HIGHLIGHTS = ['lifecyclestage', 'dealstage', 'hs_pipeline_stage', 'country'];

function RecordHead({ record, path }: { record: WholeRecord; path: string }) {
  const { nowMs, timeZone } = useClock();
  const name = nameOf(record);
  const email = record.properties.email?.value;
  const highlights = HIGHLIGHTS.map((property) => record.properties[property]?.value).filter(
    (value): value is string => typeof value === 'string' && value !== '',
  );
  return (
    <div className="record-head">
      <span className="avatar" aria-hidden="true">
        {initials(name)}
      </span>
      <div className="grow">
        <h1 className="truncate">
          <UserText>{name}</UserText>
        </h1>
        <p className="facts-line">
          {typeof email === 'string' && email !== name && (
            <>
              <UserText>{email}</UserText>
              {' · '}
            </>
          )}
          {text.record.since(dateWords(record.createdAt, nowMs, { timeZone }))}
          {' · '}
          <Id>{path}</Id>
        </p>
      </div>
      {highlights.slice(0, 2).map((value) => (
        <span key={value} className="pill plain highlight wide">
          <UserText className="truncate">{value}</UserText>
        </span>
      ))}
    </div>
  );
}

interface RecordTabsProps {
  recordKey: RecordKey;
  properties: number;
  selected: Tab;
}

function RecordTabs({ recordKey, properties, selected }: RecordTabsProps) {
  return (
    <Tabs
      label={text.record.tabs}
      selected={selected}
      tabs={TABS.map((tab) => ({
        id: tab,
        label: text.record[tab],
        ...(tab === 'properties' ? { count: String(properties) } : {}),
        link: {
          to: '/records/$objectType/$objectId',
          params: { ...recordKey },
          search: tab === 'timeline' ? {} : { tab },
        },
      }))}
    />
  );
}

const nameOf = (record: WholeRecord): string =>
  recordName(
    record.objectTypeId,
    record.objectId,
    Object.fromEntries(Object.entries(record.properties).map(([name, { value }]) => [name, value])),
  );

/** `CM` for Chloé Martin. */
function initials(name: string): string {
  const words = name.split(/[\s/]+/).filter((word) => /^\p{L}/u.test(word));
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map((word) => word?.match(/^./u)?.[0] ?? '');
  return letters.join('').toUpperCase();
}
