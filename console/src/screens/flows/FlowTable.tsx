import { Link } from '@tanstack/react-router';
import { TriangleAlert } from 'lucide-react';

import type { FlowOverview } from '../../api/queries';
import { CategoryIcon } from '../../components/categories';
import { flowName } from '../../components/flow-names';
import { DecisionPill } from '../../components/Pill';
import { RecordLink } from '../../components/RecordLink';
import { Sentence } from '../../components/Sentence';
import { Sparkline } from '../../components/Sparkline';
import { Placeholder } from '../../components/states';
import { Time } from '../../components/Time';
import { UserText } from '../../components/UserText';
import { count, formatNumber, text } from '../../text';
import { FlowMenu } from './FlowMenu';
import { FlowSwitch } from './FlowSwitch';
import type { FlowSummary, FlowSummaries } from './useFlowSummaries';

interface FlowTableProps {
  flows: readonly FlowOverview[];
  /** The index of the selected row. */
  selected: number | null;
  summaries: FlowSummaries;
}

export function FlowTable({ flows, selected, summaries }: FlowTableProps) {
  return (
    <table className="flows">
      <thead>
        <tr>
          <th className="c-on">{text.flows.column.on}</th>
          <th>{text.flows.column.flow}</th>
          <th className="c-n r">{text.flows.column.day}</th>
          <th className="c-w">{text.flows.column.week}</th>
          <th className="c-last">{text.flows.column.last}</th>
          <th className="c-more">
            <span className="sr">{text.flows.column.actions}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {flows.map((flow, index) => (
          <FlowRow key={flow.id} flow={flow} row={index} isSelected={index === selected} summaries={summaries} />
        ))}
      </tbody>
    </table>
  );
}

interface FlowRowProps {
  flow: FlowOverview;
  row: number;
  isSelected: boolean;
  summaries: FlowSummaries;
}

function FlowRow({ flow, row, isSelected, summaries }: FlowRowProps) {
  const summary = summaries.of(flow.id);
  const isLoading = summary === undefined && summaries.areAvailable;
  return (
    <tr
      ref={summaries.watch(flow.id)}
      data-row={row}
      data-flow={flow.id}
      className={`${flow.isEnabled ? '' : 'off'} ${isSelected ? 'selected' : ''}`}
      aria-current={isSelected ? 'true' : undefined}
    >
      <td className="c-on">
        <FlowSwitch flow={flow} />
      </td>
      <td className="c-flow">
        <FlowCell flow={flow} />
      </td>
      <td className="c-n r num">{isLoading ? <Placeholder size="xs" /> : dayCount(summary)}</td>
      <td className="c-w">
        <span className="row">
          <Sparkline values={summary?.enrolled.days ?? NO_DAYS} />
          {isLoading ? <Placeholder size="xs" /> : <WeekCount summary={summary} />}
        </span>
      </td>
      <td className="c-last">{isLoading ? <LoadingDecision /> : <LastDecision summary={summary} />}</td>
      <td className="c-more">
        <FlowMenu flow={flow} />
      </td>
    </tr>
  );
}

const NO_DAYS = [0, 0, 0, 0, 0, 0, 0];

function FlowCell({ flow }: { flow: FlowOverview }) {
  const warnings = flow.warnings.join(' ');
  return (
    <Link to="/flows/$flowId" params={{ flowId: flow.id }} search={flow.canRun ? {} : { tab: 'json' }}>
      <CategoryIcon category={flow.categories[0]} />
      <span className="grow">
        <span className="row">
          <b className="truncate">
            <UserText>{flowName(flow.id, flow.name)}</UserText>
          </b>
          {warnings !== '' && (
            <span className="flag" title={warnings}>
              <TriangleAlert size={14} strokeWidth={1.8} aria-hidden />
              <span className="sr">{text.flows.warning(warnings)}</span>
            </span>
          )}
        </span>
        <small className="truncate" title={flow.explanation.join(' ')}>
          {flow.canRun ? <Sentence eventTypes={flow.eventTypes}>{flow.explanation}</Sentence> : text.flows.cannotBeRead}
        </small>
      </span>
    </Link>
  );
}

const about = (summary: FlowSummary, value: string): string =>
  summary.enrolled.isExact ? value : text.flows.about(value);

const dayCount = (summary: FlowSummary | undefined): string =>
  summary === undefined ? text.flows.notKnown : about(summary, formatNumber(summary.enrolled.last24h));

function WeekCount({ summary }: { summary: FlowSummary | undefined }) {
  if (summary === undefined) return <span className="num muted">{text.flows.notKnown}</span>;
  const total = summary.enrolled.days.reduce((sum, day) => sum + day, 0);
  return (
    <span className="num" title={count(total, text.flows.enrollment, text.flows.enrollments)}>
      {about(summary, formatNumber(total))}
    </span>
  );
}

/** As high as a decision with its time, so that rows do not move when it arrives. */
function LoadingDecision() {
  return (
    <>
      <span className="pill-space">
        <Placeholder size="s" />
      </span>
      <small>
        <Placeholder size="m" />
      </small>
    </>
  );
}

/** The last decision; without one, the last enrollment, which is a fact. */
function LastDecision({ summary }: { summary: FlowSummary | undefined }) {
  const decision = summary?.lastDecision;
  if (decision != null) {
    return (
      <>
        <DecisionPill code={decision.code} />
        <small title={decision.because}>
          <Time iso={decision.occurredAt} />
          {decision.objectId !== null && (
            <>
              {' · '}
              <RecordLink objectTypeId={decision.objectTypeId} objectId={decision.objectId} />
            </>
          )}
        </small>
      </>
    );
  }
  const enrollment = summary?.lastEnrollment;
  if (enrollment == null) return <small className="muted">{text.flows.noDecision}</small>;
  return (
    <>
      <DecisionPill code="ENROLLED" />
      <small>
        <Time iso={enrollment.enrolledAt} />
        {' · '}
        <RecordLink objectTypeId={enrollment.objectTypeId} objectId={enrollment.objectId} />
      </small>
    </>
  );
}
