import { useEffect, useState } from 'react';

import { type Impact, type ImpactEvent, readImpact } from '../../api/drafts';
import { Button } from '../../components/Button';
import { RecordLink } from '../../components/RecordLink';
import { Segmented } from '../../components/Segmented';
import { messageOf } from '../../components/states';
import { Time } from '../../components/Time';
import { formatClock } from '../../components/times';
import type { JsonObject } from '../../drafts/json';
import { editorText as text } from '../../editor-text';
import { useClock } from '../../shell/clock';
import { formatNumber } from '../../text';
import { summarize } from './impact';

/** The preview begins this long after the draft became valid. */
const STARTED_AFTER_MS = 1_000;
const DAYS = 7;
const DAY_MS = 86_400_000;
/** Rows of one list; the counts are of all events that were read. */
const ROWS = 20;

type Kind = 'gained' | 'lost' | 'notEnrolled';

interface PreviewProps {
  document: JsonObject;
  /** Why there is nothing to compare; null if there is. */
  because: string | null;
  isValid: boolean;
}

interface Compared {
  readonly document: JsonObject;
  readonly pages: readonly Impact[];
  readonly since: string;
  readonly error: Error | null;
}

/** What the draft would have decided on past events, against the saved revision. */
export function Preview({ document, because, isValid }: PreviewProps) {
  const [compared, setCompared] = useState<Compared | null>(null);
  const [isReading, setReading] = useState(false);
  const [kind, setKind] = useState<Kind>('gained');
  const isCurrent = compared?.document === document;

  useEffect(() => {
    if (because !== null || !isValid || isCurrent) return;
    const controller = new AbortController();
    const timer = setTimeout(() => {
      setReading(true);
      void compare({ document, pages: [], since: sinceNow(), error: null }, controller.signal).then((next) => {
        setReading(false);
        if (next !== null) setCompared(next);
      });
    }, STARTED_AFTER_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [document, because, isValid, isCurrent]);

  async function readMore(): Promise<void> {
    if (compared === null) return;
    setReading(true);
    const next = await compare(compared, new AbortController().signal);
    setReading(false);
    // A later change of the draft has begun another comparison.
    setCompared((present) => (present === compared ? next : present));
  }

  return (
    <section aria-label={text.preview.title} aria-busy={isReading}>
      <h2>{text.preview.title}</h2>
      {because !== null ? (
        <p className="muted">{because}</p>
      ) : compared === null ? (
        <p className="muted">{isValid ? text.words.checking : text.preview.waits}</p>
      ) : (
        <>
          {compared.error !== null && <p className="fault">{messageOf(compared.error)}</p>}
          {!isCurrent && !isValid && <p className="muted">{text.preview.waits}</p>}
          {compared.pages.length > 0 && <Result compared={compared} kind={kind} onKind={setKind} />}
          {isCurrent && compared.pages.at(-1)?.paging !== undefined && (
            <Button isSmall isDisabled={isReading} onPress={() => void readMore()}>
              {text.preview.more}
            </Button>
          )}
        </>
      )}
    </section>
  );
}

const sinceNow = (): string => new Date(Date.now() - DAYS * DAY_MS).toISOString();

/** Read the next page. Null: the request was aborted. */
async function compare(compared: Compared, signal: AbortSignal): Promise<Compared | null> {
  const { document, pages, since } = compared;
  try {
    const page = await readImpact(document, { since, after: pages.at(-1)?.paging?.next.after }, signal);
    return { ...compared, pages: [...pages, page], error: null };
  } catch (error) {
    if (signal.aborted) return null;
    return { ...compared, error: error instanceof Error ? error : new Error(String(error)) };
  }
}

function Result({ compared, kind, onKind }: { compared: Compared; kind: Kind; onKind: (kind: Kind) => void }) {
  const { nowMs, timeZone } = useClock();
  const summary = summarize(compared.pages);
  const rows = summary[kind];
  const since = formatClock(compared.pages[0]?.since ?? compared.since, nowMs, { timeZone });
  return (
    <>
      <p className="muted">
        {text.preview.of(summary.events, since)}. {text.preview.explanation}
      </p>
      <div className="diff num">
        <div className="good">
          <b data-count="gained">+{formatNumber(summary.gained.length)}</b>
          <small>{text.preview.gained}</small>
        </div>
        <div className="bad">
          <b data-count="lost">−{formatNumber(summary.lost.length)}</b>
          <small>{text.preview.lost}</small>
        </div>
        <div>
          <b data-count="same">{formatNumber(summary.same.length)}</b>
          <small>{text.preview.asBefore}</small>
        </div>
      </div>
      <Segmented
        label={text.preview.which}
        value={kind}
        options={[
          { value: 'gained', label: text.preview.gainedTab(summary.gained.length) },
          { value: 'lost', label: text.preview.lostTab(summary.lost.length) },
          { value: 'notEnrolled', label: text.preview.notTab(summary.notEnrolled.length) },
        ]}
        onChange={onKind}
      />
      {rows.length === 0 ? (
        <p className="muted">{text.preview.none}</p>
      ) : (
        <ul className="who-list">
          {rows.slice(0, ROWS).map((event) => (
            <li key={`${event.objectId} ${event.eventId}`}>
              <RecordLink objectTypeId={event.objectTypeId} objectId={event.objectId} />
              <Time iso={event.occurredAt} />
              <small>{reasonOf(event, kind)}</small>
            </li>
          ))}
        </ul>
      )}
      {rows.length > ROWS && <p className="muted">{text.preview.first(ROWS, rows.length)}</p>}
    </>
  );
}

/** Why the draft does not enroll the record, or the event that enrolls it. */
function reasonOf(event: ImpactEvent, kind: Kind): string {
  if (kind === 'gained') return event.eventType;
  return event.draft?.failedConditions[0] ?? event.draft?.because ?? event.eventType;
}
