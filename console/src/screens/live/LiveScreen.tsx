import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { Activity, ArrowUp, CircleAlert, Info, Pause, Play, X } from 'lucide-react';
import { type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { Dialog, DialogTrigger, Popover } from 'react-aria-components';

import { MOST_EVENT_TYPES } from '../../api/event-queries';
import { eventTypesQuery, type FlowOverview, flowsQuery, portalQuery } from '../../api/queries';
import { Button, IconButton } from '../../components/Button';
import { categoryOf, CategoryIcon } from '../../components/categories';
import { CodeBlock } from '../../components/CodeBlock';
import { ColumnHeads } from '../../components/ColumnHeads';
import { type DecisionCode, DECISIONS } from '../../components/decisions';
import { EventFacts, EventHeading, EventProperties } from '../../components/EventFacts';
import { eventLabel, eventSummary, routeType } from '../../components/events';
import { FilterChip } from '../../components/FilterChip';
import { flowName } from '../../components/flow-names';
import { DecisionPill } from '../../components/Pill';
import { SearchField } from '../../components/SearchField';
import { Empty, ErrorState, LoadingRows, messageOf } from '../../components/states';
import { formatClock } from '../../components/times';
import { useRecordNames } from '../../components/useRecordNames';
import { useRowKeys } from '../../components/useRowKeys';
import { UserText } from '../../components/UserText';
import { without } from '../../components/without';
import { DecisionCard } from '../../explanations/DecisionCard';
import type { Account } from '../../explanations/steps';
import { useClock } from '../../shell/clock';
import { type KeyBinding, useKeys } from '../../shell/keys';
import { usePortalId } from '../../shell/portal';
import { Screen } from '../../shell/Screen';
import { text } from '../../text';
import type { LiveSearch } from './addresses';
import { barsOf, type Gap, intervalMs, minuteOf, type Row } from './following';
import { Histogram } from './Histogram';
import { TypesChooser } from './TypesChooser';
import { type Subject, useFollowing } from './useFollowing';

/** Events as they arrive, what was decided, and who was enrolled. */
export function LiveScreen() {
  const flows = useInfiniteQuery(flowsQuery());
  const hasHistory = useQuery(portalQuery()).data?.historyDays !== 0;
  const { types } = useSearch({ from: '/live' });
  if (!hasHistory) {
    return (
      <Screen title={text.live.title}>
        <Empty icon={Activity}>{text.live.noHistory}</Empty>
      </Screen>
    );
  }
  if (flows.isPending) {
    return (
      <Screen title={text.live.title}>
        <LoadingRows />
      </Screen>
    );
  }
  if (flows.data === undefined && types === undefined) {
    return (
      <Screen title={text.live.title}>
        <ErrorState error={flows.error} onRetry={() => void flows.refetch()} />
      </Screen>
    );
  }
  return <Stream flows={flows.data?.pages.flatMap((page) => page.results) ?? []} />;
}

/** Types that start flows which are on, those of the most flows first. */
function typesOfFlows(flows: readonly FlowOverview[]): string[] {
  const counts = new Map<string, number>();
  for (const type of flows.filter(({ isEnabled }) => isEnabled).flatMap(({ eventTypes }) => eventTypes)) {
    counts.set(type, (counts.get(type) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a).map(([type]) => type);
}

const NO_KEYS: readonly KeyBinding[] = [];

function Stream({ flows }: { flows: readonly FlowOverview[] }) {
  const search = useSearch({ from: '/live' });
  const navigate = useNavigate();
  const portalId = usePortalId();
  const { nowMs } = useClock();
  const [isPaused, setPaused] = useState(false);
  const [isScrolled, setScrolled] = useState(false);
  const [typed, setTyped] = useState('');
  const stream = useRef<HTMLDivElement>(null);
  const searchField = useRef<HTMLInputElement>(null);

  const typesByDefault = useMemo(() => typesOfFlows(flows).slice(0, MOST_EVENT_TYPES), [flows]);
  const types = search.types?.split(',').slice(0, MOST_EVENT_TYPES) ?? typesByDefault;
  const subject: Subject | null =
    search.flow !== undefined ? { flowId: search.flow } : types.length > 0 ? { eventTypes: types } : null;
  const isHeld = isPaused || isScrolled || search.event !== undefined;
  const followed = useFollowing(subject, isHeld);
  const { rows, held, release } = followed;

  const change = useCallback(
    (next: LiveSearch) => void navigate({ to: '/live', search: next, replace: true }),
    [navigate],
  );
  const resume = useCallback(() => {
    setPaused(false);
    stream.current?.scrollTo({ top: 0 });
    release();
  }, [release]);
  const togglePause = useCallback(() => (isPaused ? resume() : setPaused(true)), [isPaused, resume]);

  // Scrolled back to the top, the reader follows again.
  useEffect(() => {
    if (!isHeld && held.length > 0) release();
  }, [isHeld, held.length, release]);

  const nameOf = useRecordNames(
    rows.map(({ event }) => ({ objectType: routeType(event.objectType), objectId: event.objectId })),
  );
  const nameOfRow = ({ event }: Row) => nameOf({ objectType: routeType(event.objectType), objectId: event.objectId });
  const shown = rows.filter((row) => isShown(row, search, typed, nameOfRow(row)));
  const selected = rows.find((row) => row.key === search.event);
  const withoutEvent = without(search, 'event');

  const openRow = (index: number) => {
    const row = shown[index];
    if (row !== undefined) change({ ...search, event: row.key });
  };
  const focusedRow = useRowKeys(shown.length, openRow);
  // Declared after the keys of the list at each rendering, so that Escape closes the panel first.
  const closePanel = { keys: 'Escape', label: text.keys.close, run: () => change(withoutEvent) };
  useKeys(text.live.panel, selected === undefined ? NO_KEYS : [closePanel]);
  const bindings = useMemo(
    () => [
      { keys: ' ', label: text.live.pauseKey, run: togglePause },
      { keys: 'f', label: text.keys.filter, run: () => searchField.current?.focus() },
      { keys: '/', label: text.keys.filter, run: () => searchField.current?.focus() },
    ],
    [togglePause],
  );
  useKeys(text.live.title, bindings);

  const bars = barsOf(followed, nowMs);
  return (
    <Screen
      title={text.live.title}
      actions={
        <>
          <Legend />
          <WhatIsShown />
          <Button icon={isPaused ? Play : Pause} onPress={togglePause}>
            {isPaused ? text.live.resume : text.live.pause} <kbd className="kbd wide">{text.keys.space}</kbd>
          </Button>
        </>
      }
      bars={
        <>
          <div className="livebar">
            <SearchField
              label={text.live.search}
              placeholder={text.live.searchHint}
              value={typed}
              onChange={setTyped}
              shortcut="f"
              inputRef={searchField}
              className="compact"
            />
            <LiveFilters flows={flows} types={types} typesByDefault={typesByDefault} onChange={change} />
            <span className="grow" />
            <Status followed={followed} isPaused={isPaused} isFollowing={subject !== null} />
          </div>
          <Histogram
            bars={bars}
            selected={search.at}
            onSelect={(at) => {
              change(at === search.at ? without(withoutEvent, 'at') : { ...withoutEvent, at });
            }}
          />
        </>
      }
    >
      <div className={`split ${selected === undefined ? '' : 'open'}`}>
        <div
          className="stream"
          ref={stream}
          tabIndex={0}
          role="region"
          aria-label={text.live.events}
          onScroll={(event) => setScrolled(event.currentTarget.scrollTop > 0)}
        >
          {isHeld && held.length > 0 && (
            <div className="new-events">
              <Button isSmall look="primary" icon={ArrowUp} onPress={resume}>
                {text.live.newEvents(held.length)}
              </Button>
            </div>
          )}
          {subject === null ? (
            <Empty icon={Activity}>{text.live.noTypes}</Empty>
          ) : rows.length === 0 ? (
            <Nothing
              isAnswered={followed.answers > 0}
              error={followed.answers === 0 ? followed.error : null}
              portalId={portalId}
            />
          ) : shown.length === 0 ? (
            <Empty
              icon={Activity}
              action={
                <Button
                  onPress={() => {
                    setTyped('');
                    change(without(withoutEvent, 'code', 'at'));
                  }}
                >
                  {text.live.showAll}
                </Button>
              }
            >
              {text.live.noMatch}
            </Empty>
          ) : (
            <EventTable
              rows={shown}
              gaps={followed.gaps}
              answers={followed.answers}
              selectedKey={search.event}
              focusedRow={focusedRow}
              flowId={search.flow}
              nameOf={nameOfRow}
              onOpen={(row) => change({ ...search, event: row.key })}
            />
          )}
        </div>
        {selected !== undefined && <Panel row={selected} onClose={() => change(withoutEvent)} />}
      </div>
      <Announcement rows={rows} held={held} />
    </Screen>
  );
}

function isShown(row: Row, { code, at }: LiveSearch, typed: string, name: string | undefined): boolean {
  const { event, decisions = [] } = row;
  if (code !== undefined && !decisions.some((decision) => decision.code === code)) return false;
  if (at !== undefined && minuteOf(event.occurredAt) !== at) return false;
  const words = typed.trim().toLowerCase();
  if (words === '') return true;
  const content = [event.id, `${routeType(event.objectType)}/${event.objectId}`, name ?? '', event.eventType];
  return content.some((part) => part.toLowerCase().includes(words));
}

interface StatusProps {
  followed: ReturnType<typeof useFollowing>;
  isPaused: boolean;
  isFollowing: boolean;
}

function Status({ followed, isPaused, isFollowing }: StatusProps) {
  const { nowMs, timeZone } = useClock();
  if (!isFollowing) return null;
  if (followed.error !== null) {
    const since = followed.succeededAtMs;
    return (
      <span className="live-status bad" title={messageOf(followed.error)}>
        <CircleAlert size={14} strokeWidth={1.8} aria-hidden />
        {since === null
          ? messageOf(followed.error)
          : text.live.since(formatClock(new Date(since).toISOString(), nowMs, { timeZone }))}
      </span>
    );
  }
  if (isPaused) {
    return (
      <span className="live-status plain num">
        <span className="dot" aria-hidden="true" />
        {followed.held.length === 0 ? text.live.paused : text.live.pausedNew(followed.held.length)}
      </span>
    );
  }
  return (
    <>
      <span className="live-status good">
        <span className="dot good pulse" aria-hidden="true" />
        {text.live.following}
      </span>
      <span className="muted small num wide">{text.live.every(intervalMs(0) / 1_000)}</span>
    </>
  );
}

const Legend = () => (
  <div className="legend wide" aria-hidden="true">
    <span>
      <span className="dot good" />
      {text.live.legend.enrolled}
    </span>
    <span>
      <span className="dot warn" />
      {text.live.legend.keptOut}
    </span>
    <span>
      <span className="dot plain" />
      {text.live.legend.other}
    </span>
  </div>
);

/** The honest limits of this screen. */
const WhatIsShown = () => (
  <DialogTrigger>
    <IconButton icon={Info} label={text.live.what} isSmall={false} />
    <Popover className="popover" placement="bottom end">
      <Dialog className="limits" aria-label={text.live.what}>
        <h2>{text.live.what}</h2>
        <ul>
          {text.live.limits.map((limit) => (
            <li key={limit}>{limit}</li>
          ))}
        </ul>
      </Dialog>
    </Popover>
  </DialogTrigger>
);

interface LiveFiltersProps {
  flows: readonly FlowOverview[];
  types: readonly string[];
  typesByDefault: readonly string[];
  onChange: (search: LiveSearch) => void;
}

function LiveFilters({ flows, types, typesByDefault, onChange }: LiveFiltersProps) {
  const { timeZone, nowMs } = useClock();
  const search = without(useSearch({ from: '/live' }), 'event');
  const [isChoosing, setChoosing] = useState(false);
  return (
    <>
      {search.flow === undefined && (
        <button type="button" className="chip" onClick={() => setChoosing(true)}>
          {text.live.events} <b className="num">{text.live.types(types.length)}</b>
        </button>
      )}
      <FilterChip
        label={text.live.flow}
        value={search.flow ?? null}
        options={flows
          .filter(({ eventTypes }) => eventTypes.length > 0)
          .map((flow) => ({ id: flow.id, label: flowName(flow.id, flow.name), detail: flow.id }))}
        onChange={(flow) => {
          const others = without(search, 'flow');
          onChange(flow === null ? others : { ...others, flow });
        }}
      />
      <FilterChip
        label={text.live.decision}
        value={search.code ?? null}
        options={Object.entries(DECISIONS).map(([id, { words }]) => ({ id, label: words }))}
        onChange={(code) => {
          const others = without(search, 'code');
          onChange(code === null ? others : { ...others, code: code as DecisionCode });
        }}
      />
      {search.at !== undefined && (
        <FilterChip
          label={text.live.at}
          value={search.at}
          options={[{ id: search.at, label: formatClock(search.at, nowMs, { timeZone }).replace(/:00$/, '') }]}
          onChange={(at) => {
            const others = without(search, 'at');
            onChange(at === null ? others : { ...others, at });
          }}
        />
      )}
      {isChoosing && (
        <TypesChooser
          chosen={types}
          ofFlows={typesByDefault}
          onClose={() => setChoosing(false)}
          onChoose={(chosen) => {
            setChoosing(false);
            onChange({ ...search, types: chosen.join(',') });
          }}
        />
      )}
    </>
  );
}

function Nothing({ isAnswered, error, portalId }: { isAnswered: boolean; error: Error | null; portalId: string }) {
  const [sample] = useState(() => ({ id: `console-${Date.now()}`, at: new Date().toISOString() }));
  if (error !== null) return <ErrorState error={error} />;
  if (!isAnswered) return <LoadingRows />;
  return (
    <Empty
      icon={Activity}
      action={
        <div className="sample">
          <CodeBlock label={text.live.commandLabel}>{text.live.command(portalId, sample.id, sample.at)}</CodeBlock>
        </div>
      }
    >
      <b>{text.live.waiting}</b>
      <br />
      {text.live.waitingExplanation}
    </Empty>
  );
}

interface EventTableProps {
  rows: readonly Row[];
  gaps: readonly Gap[];
  answers: number;
  selectedKey: string | undefined;
  focusedRow: number | null;
  flowId: string | undefined;
  nameOf: (row: Row) => string | undefined;
  onOpen: (row: Row) => void;
}

function EventTable({ rows, gaps, answers, selectedKey, focusedRow, flowId, nameOf, onOpen }: EventTableProps) {
  const content: ReactNode[] = [];
  const open = [...gaps];
  for (const [index, row] of rows.entries()) {
    content.push(
      <EventRow
        key={row.key}
        row={row}
        index={index}
        isNew={row.arrival === answers && answers > 1}
        isSelected={row.key === selectedKey || index === focusedRow}
        flowId={flowId}
        name={nameOf(row)}
        onOpen={() => onOpen(row)}
      />,
    );
    const next = rows[index + 1];
    while (open[0] !== undefined && (next === undefined || next.event.occurredAt < open[0].at)) {
      const gap = open.shift();
      if (gap === undefined) break;
      content.push(
        <tr key={`gap ${gap.at} ${open.length}`} className="gap-row">
          <td colSpan={4} className="muted num">
            {text.live.notListed(gap.events)}
          </td>
        </tr>,
      );
    }
  }
  return (
    <table>
      <ColumnHeads names={Object.values(text.live.column)} />
      <tbody>{content}</tbody>
    </table>
  );
}

interface EventRowProps {
  row: Row;
  index: number;
  isNew: boolean;
  isSelected: boolean;
  flowId: string | undefined;
  name: string | undefined;
  onOpen: () => void;
}

function EventRow({ row: { event, decisions = [] }, index, isNew, isSelected, flowId, name, onOpen }: EventRowProps) {
  const catalog = useQuery(eventTypesQuery()).data ?? [];
  const { nowMs, timeZone } = useClock();
  const path = `${routeType(event.objectType)}/${event.objectId}`;
  return (
    <tr data-row={index} className={isNew ? 'new' : ''} aria-selected={isSelected} onClick={onOpen}>
      <td className="num muted mono">{formatClock(event.occurredAt, nowMs, { timeZone })}</td>
      <td className="what">
        <span className="two">
          <CategoryIcon category={categoryOf(event.eventType)} />
          <span className="grow">
            <button
              type="button"
              className="truncate"
              onClick={(click) => {
                click.stopPropagation();
                onOpen();
              }}
            >
              {eventLabel(event.eventType, catalog)}
            </button>
            <small className="truncate">
              <UserText>{eventSummary(event)}</UserText>
            </small>
          </span>
        </span>
      </td>
      <td className="whom">
        <b className="truncate">
          <UserText>{name ?? path}</UserText>
        </b>
        {name !== undefined && name !== path && (
          <small className="mono truncate">
            <UserText>{path}</UserText>
          </small>
        )}
      </td>
      <td className="out">
        <Decided decisions={decisions} flowId={flowId} />
      </td>
    </tr>
  );
}

/** Decisions that say most come first. */
const ORDER: readonly (DecisionCode | null)[] = [
  'ENROLLED',
  'WAITING',
  'FILTERED_OUT',
  'SUPPRESSED',
  'GOAL_MET',
  'LOOP_STOPPED',
  'ALREADY_ENROLLED',
  'NOT_ELIGIBLE',
  'NOT_MATCHED',
];

const rankOf = ({ code }: Account): number => {
  const rank = ORDER.indexOf(code);
  return rank < 0 ? (code === null ? ORDER.length + 1 : ORDER.length) : rank;
};

function Decided({ decisions, flowId }: { decisions: readonly Account[]; flowId: string | undefined }) {
  const sorted = [...decisions]
    .filter((decision) => flowId === undefined || decision.flowId === flowId)
    .sort((a, b) => rankOf(a) - rankOf(b));
  const [first] = sorted;
  if (first === undefined) return <span className="muted small">{text.live.noDecision}</span>;
  return (
    <span className="outs">
      <DecisionPill code={first.code} />
      <UserText className="to truncate">{flowName(first.flowId, first.flowName)}</UserText>
      {sorted.length > 1 && <span className="to num">{text.live.others(sorted.length - 1)}</span>}
    </span>
  );
}

/** The selected event beside the list. */
function Panel({ row: { event, decisions = [] }, onClose }: { row: Row; onClose: () => void }) {
  const [isJsonShown, setJsonShown] = useState(false);
  const path = `${routeType(event.objectType)}/${event.objectId}`;
  return (
    <aside className="detail" aria-label={text.live.panel} tabIndex={0}>
      <section>
        <div className="row">
          <EventHeading event={event} />
          <IconButton icon={X} label={text.live.closePanel} onPress={onClose} />
        </div>
        <EventFacts event={event} />
      </section>
      <section>
        <h3>{text.event.decisions}</h3>
        {decisions.length === 0 ? (
          <p className="muted small">{text.record.noFlow}</p>
        ) : (
          <div className="ds">
            {[...decisions]
              .sort((a, b) => rankOf(a) - rankOf(b))
              .map((account, index) => (
                <DecisionCard
                  key={account.flowId}
                  account={account}
                  isOpenAtFirst={index === 0 && account.code !== 'ENROLLED'}
                />
              ))}
          </div>
        )}
      </section>
      <section>
        <h3>{text.event.properties}</h3>
        <EventProperties event={event} />
      </section>
      <section className="row">
        <Link className="btn small" to="/why" search={{ record: path, event: event.id }}>
          {text.event.whyNot}
        </Link>
        <Link className="btn small" to="/events/$" params={{ _splat: event.id }} search={{ record: path }}>
          {text.event.openEvent}
        </Link>
        <span className="grow" />
        <Button isSmall look="quiet" onPress={() => setJsonShown(!isJsonShown)} aria-expanded={isJsonShown}>
          {isJsonShown ? text.event.hideJson : text.event.showJson}
        </Button>
      </section>
      {isJsonShown && (
        <section>
          <CodeBlock label={text.event.jsonOf}>{JSON.stringify(event, null, 2)}</CodeBlock>
        </section>
      )}
    </aside>
  );
}

const ANNOUNCED_EVERY_MS = 10_000;

/** A screen reader hears one summary of what is new each ten seconds at most. */
function Announcement({ rows, held }: { rows: readonly Row[]; held: readonly Row[] }) {
  const [summary, setSummary] = useState({ number: 0, words: '' });
  const latest = useRef<readonly Row[]>([]);
  const heard = useRef<ReadonlySet<string> | null>(null);
  useEffect(() => {
    latest.current = [...held, ...rows];
  });
  useEffect(() => {
    const timer = setInterval(() => {
      const known = heard.current;
      const arrived = known === null ? [] : latest.current.filter(({ key }) => !known.has(key));
      heard.current = new Set(latest.current.map(({ key }) => key));
      if (arrived.length === 0) return;
      const enrolled = arrived.filter(({ decisions = [] }) => decisions.some(({ code }) => code === 'ENROLLED'));
      const words = text.live.announced(arrived.length, enrolled.length);
      setSummary((before) => ({ number: before.number + 1, words }));
    }, ANNOUNCED_EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <div className="sr" role="status" aria-live="polite">
      {/* A new element: a summary with the same words as the last one is announced too. */}
      <span key={summary.number}>{summary.words}</span>
    </div>
  );
}
