import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { Check, ChevronDown, ChevronRight, Clock, Grid3x3, X } from 'lucide-react';
import { Fragment, useId } from 'react';

import { eventTypesQuery } from '../../api/queries';
import { type ExplainedEvent, explainedEventQuery, type RecordKey } from '../../api/record-queries';
import { EventHeading } from '../../components/EventFacts';
import { lookOf } from '../../components/decisions';
import { flowName } from '../../components/flow-names';
import { FlowLink } from '../../components/FlowLink';
import { DecisionPill } from '../../components/Pill';
import { RecordLink } from '../../components/RecordLink';
import { Empty, ErrorState, LoadingRows, StaleBar } from '../../components/states';
import { Time } from '../../components/Time';
import { formatClock } from '../../components/times';
import { useRecordNames } from '../../components/useRecordNames';
import { useRowKeys } from '../../components/useRowKeys';
import { UserText } from '../../components/UserText';
import { decisionWords } from '../../explanations/decision-words';
import { Explanation } from '../../explanations/DecisionCard';
import { STEPS } from '../../explanations/steps';
import { useClock } from '../../shell/clock';
import { Screen } from '../../shell/Screen';
import { text } from '../../text';
import { readRecordSearch } from '../records/search';
import { ChooseEvent } from './ChooseEvent';
import { type Cell, matrixOf, type MatrixRow } from './matrix';

/** The record in the address: a type and an ID, or the ID of a contact. Null: none, or an email address. */
function recordOf(path: string | undefined): RecordKey | null {
  const search = readRecordSearch(path ?? '');
  return search.kind === 'record' ? search.record : null;
}

/** Which step kept a record out of each flow, for one event. */
export function WhyScreen() {
  const { record: path, event: eventId } = useSearch({ from: '/why' });
  const record = eventId === undefined ? null : recordOf(path);
  const isChosen = record !== null && eventId !== undefined && eventId !== '';
  const answer = useQuery({
    ...explainedEventQuery(record ?? { objectType: '', objectId: '' }, eventId ?? ''),
    enabled: isChosen,
  });
  const explained = answer.data?.results[0];
  return (
    <Screen
      title={text.why.title}
      summary={text.why.summary}
      bars={
        <>
          {answer.isRefetchError && (
            <StaleBar updatedAtMs={answer.dataUpdatedAt} onRetry={() => void answer.refetch()} />
          )}
          {explained === undefined ? null : <EventBar explained={explained} />}
        </>
      }
    >
      {!isChosen ? (
        <ChooseEvent key={path ?? ''} find={path ?? ''} />
      ) : answer.isPending ? (
        <LoadingRows />
      ) : answer.data === undefined ? (
        <ErrorState error={answer.error} onRetry={() => void answer.refetch()} />
      ) : explained === undefined || explained.decisions.length === 0 ? (
        <Empty icon={Grid3x3}>{text.why.noFlow}</Empty>
      ) : (
        <Matrix explained={explained} />
      )}
    </Screen>
  );
}

function EventBar({ explained: { event } }: { explained: ExplainedEvent }) {
  const { record: path = '' } = useSearch({ from: '/why' });
  const key = recordOf(path);
  const nameOf = useRecordNames(key === null ? [] : [key]);
  return (
    <div className="q">
      <EventHeading event={event} />
      <RecordLink
        objectTypeId={event.objectType}
        objectId={event.objectId}
        name={key === null ? undefined : nameOf(key)}
      />
      <span className="muted num">
        <Time iso={event.occurredAt} isAbsolute />
      </span>
      <Link className="btn small" to="/events/$" params={{ _splat: event.id }} search={{ record: path }}>
        {text.event.openEvent}
      </Link>
      <Link className="btn quiet small" to="/why" search={{ record: path }}>
        {text.why.another}
      </Link>
    </div>
  );
}

function Matrix({ explained }: { explained: ExplainedEvent }) {
  const catalog = useQuery(eventTypesQuery()).data ?? [];
  const { flow: chosenFlow, ...search } = useSearch({ from: '/why' });
  const navigate = useNavigate();
  const rows = matrixOf(explained.decisions, catalog);
  const openFlow = chosenFlow ?? rows.find(({ account }) => lookOf(account.code).tone === 'warn')?.account.flowId ?? '';
  const toggle = (flowId: string | undefined) => {
    if (flowId === undefined) return;
    const next = { ...search, flow: flowId === openFlow ? '' : flowId };
    void navigate({ to: '/why', search: next, replace: true });
  };
  const open = (row: number) => toggle(rows[row]?.account.flowId);
  const selected = useRowKeys(rows.length, open);
  return (
    <table className="matrix">
      <caption className="sr">{text.why.matrix}</caption>
      <thead>
        <tr className="over">
          <td />
          <th scope="colgroup" colSpan={STEPS.length} className="g">
            {text.why.steps}
          </th>
          <td className="g" />
        </tr>
        <tr>
          <th scope="col">{text.why.flow}</th>
          {STEPS.map((step) => (
            <th key={step} scope="col" className="g">
              {text.why.step[step]}
            </th>
          ))}
          <th scope="col" className="g">
            {text.why.decision}
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row, index) => (
          <MatrixRows
            key={row.account.flowId}
            row={row}
            index={index}
            isSelected={selected === index}
            isOpen={openFlow === row.account.flowId}
            onToggle={() => toggle(row.account.flowId)}
          />
        ))}
      </tbody>
    </table>
  );
}

interface MatrixRowsProps {
  row: MatrixRow;
  index: number;
  isSelected: boolean;
  isOpen: boolean;
  onToggle: () => void;
}

/** A flow, and the explanation of its decision when it is open. */
function MatrixRows({ row: { account, cells }, index, isSelected, isOpen, onToggle }: MatrixRowsProps) {
  const { nowMs, timeZone } = useClock();
  const id = useId();
  const name = flowName(account.flowId, account.flowName);
  const Icon = isOpen ? ChevronDown : ChevronRight;
  return (
    <Fragment>
      <tr data-row={index} aria-selected={isSelected}>
        <th scope="row">
          <button
            type="button"
            className="row-opener"
            aria-expanded={isOpen}
            aria-controls={isOpen ? id : undefined}
            aria-label={text.why.open(name)}
            onClick={onToggle}
          >
            <Icon size={14} strokeWidth={1.8} aria-hidden className="muted" />
            <UserText className="truncate">{name}</UserText>
          </button>
        </th>
        {cells.map((cell) => (
          <td key={cell.step} className="g">
            <CellContent cell={cell} />
          </td>
        ))}
        <td className="g">
          <DecisionPill
            code={account.code}
            words={decisionWords(account, (iso) => formatClock(iso, nowMs, { timeZone }))}
          />
        </td>
      </tr>
      {isOpen && (
        <tr className="explained">
          <td colSpan={STEPS.length + 2} id={id}>
            <div className="why">
              <Explanation account={account} />
              <footer>
                <span className="num">
                  {text.explanation.revision(account.flowRevisionId, account.currentFlowRevisionId)}
                </span>
                <span className="grow" />
                <FlowLink flowId={account.flowId}>{text.explanation.openFlow}</FlowLink>
              </footer>
            </div>
          </td>
        </tr>
      )}
    </Fragment>
  );
}

function CellContent({ cell: { state, words, isDecisive } }: { cell: Cell }) {
  if (state === 'none' || state === 'notAsked') return <span className="cell na">{words}</span>;
  const Icon = { passed: Check, failed: X, waiting: Clock }[state];
  const look = isDecisive ? 'no' : state === 'waiting' ? 'wait' : 'ok';
  return (
    <span className={`cell ${look}`} title={words}>
      <Icon size={14} strokeWidth={2} aria-hidden />
      <span className="sr">{text.why.state[state]}: </span>
      <UserText className="truncate">{words}</UserText>
    </span>
  );
}
