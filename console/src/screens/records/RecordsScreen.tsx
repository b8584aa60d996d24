import { useQuery } from '@tanstack/react-query';
import { Link, Navigate, useNavigate, useSearch } from '@tanstack/react-router';
import { UserRound } from 'lucide-react';
import { type SubmitEvent, useMemo, useRef, useState } from 'react';

import { ApiError } from '../../api/errors';
import { contactByEmailQuery, type RecordKey } from '../../api/record-queries';
import { Button } from '../../components/Button';
import { SearchField } from '../../components/SearchField';
import { Empty, ErrorState } from '../../components/states';
import { useRecordNames } from '../../components/useRecordNames';
import { UserText } from '../../components/UserText';
import { useKeys } from '../../shell/keys';
import { usePortalId } from '../../shell/portal';
import { Screen } from '../../shell/Screen';
import { text } from '../../text';
import { recentRecords } from './recent';
import { readRecordSearch } from './search';

/** Find a record, or open one of those that were open last. */
export function RecordsScreen() {
  const { find = '' } = useSearch({ from: '/records' });
  const [typed, setTyped] = useState(find);
  const navigate = useNavigate();
  const input = useRef<HTMLInputElement>(null);
  const bindings = useMemo(() => [{ keys: '/', label: text.keys.filter, run: () => input.current?.focus() }], []);
  useKeys(text.keys.list, bindings);

  function submit(event: SubmitEvent): void {
    event.preventDefault();
    void navigate({ to: '/records', search: typed.trim() === '' ? {} : { find: typed.trim() } });
  }

  return (
    <Screen title={text.records.title}>
      <div className="records">
        <form className="record-search" onSubmit={submit} role="search">
          <SearchField
            label={text.records.search}
            placeholder={text.records.searchHint}
            value={typed}
            onChange={setTyped}
            inputRef={input}
            shortcut="/"
            className="grow"
          />
          <Button type="submit" look="primary">
            {text.records.find}
          </Button>
        </form>
        <p className="muted small">{text.records.explanation}</p>
        <Found find={find} />
        <Recent />
      </div>
    </Screen>
  );
}

/** The result of the search: it opens the record. */
function Found({ find }: { find: string }) {
  const search = readRecordSearch(find);
  const portalId = usePortalId();
  const email = search.kind === 'email' ? search.email : '';
  const contact = useQuery({ ...contactByEmailQuery(email), enabled: email !== '' });
  if (search.kind === 'nothing') return null;
  if (search.kind === 'record') return <ToRecord {...search.record} />;
  if (contact.isPending) return <p role="status">{text.records.searching}</p>;
  if (contact.data !== undefined) return <ToRecord objectType="contact" objectId={contact.data} />;
  if (contact.error instanceof ApiError && contact.error.status === 404) {
    return (
      <Empty>
        <UserText>{text.records.noContact(email, portalId)}</UserText>
      </Empty>
    );
  }
  return <ErrorState error={contact.error} onRetry={() => void contact.refetch()} />;
}

// Back must not return to a search that opens the record again at once.
const ToRecord = (record: RecordKey) => <Navigate to="/records/$objectType/$objectId" params={{ ...record }} replace />;

function Recent() {
  const portalId = usePortalId();
  const records = useMemo(() => recentRecords(portalId), [portalId]);
  const nameOf = useRecordNames(records);
  return (
    <section className="recent">
      <h2 className="eyebrow">{text.records.recent}</h2>
      {records.length === 0 ? (
        <p className="muted">{text.records.noRecent}</p>
      ) : (
        <ul className="card">
          {records.map((record) => (
            <li key={`${record.objectType}/${record.objectId}`}>
              <Link to="/records/$objectType/$objectId" params={{ ...record }}>
                <span className="tile" aria-hidden="true">
                  <UserRound size={15} strokeWidth={1.6} />
                </span>
                <UserText className="grow truncate">{nameOf(record) ?? ''}</UserText>
                <code className="muted">
                  <UserText>{`${record.objectType}/${record.objectId}`}</UserText>
                </code>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
