import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, useParams, useSearch } from '@tanstack/react-router';
import { ChevronLeft, Download, TriangleAlert } from 'lucide-react';

import {
  type Enrollment,
  ENROLLMENTS_A_PAGE,
  enrollmentsOfFlowQuery,
  type Flow,
  type FlowOverview,
  flowOverviewQuery,
  flowQuery,
  REVISIONS_A_PAGE,
  revisionsQuery,
} from '../../api/queries';
import { Button } from '../../components/Button';
import { CodeBlock } from '../../components/CodeBlock';
import { download } from '../../components/downloads';
import { Id } from '../../components/Id';
import { Note } from '../../components/Note';
import { Pill } from '../../components/Pill';
import { RecordLink } from '../../components/RecordLink';
import { objectTypeName } from '../../components/records';
import { Sentence } from '../../components/Sentence';
import { Empty, ErrorState, LoadingRows } from '../../components/states';
import { Tabs } from '../../components/Tabs';
import { Time } from '../../components/Time';
import { Screen } from '../../shell/Screen';
import { text } from '../../text';
import { FlowSwitch } from './FlowSwitch';

/** One flow: what it does, whom it enrolled, and its document. */
export default function FlowScreen() {
  const { flowId } = useParams({ from: '/flows/$flowId' });
  const { tab } = useSearch({ from: '/flows/$flowId' });
  const flow = useQuery(flowQuery(flowId));
  const overview = useInfiniteQuery(flowOverviewQuery(flowId)).data;
  const name = flow.data?.name ?? text.flows.unnamed(flowId);
  const params = { flowId };
  return (
    <Screen
      title={name}
      back={
        <Link to="/flows" className="crumb" aria-label={text.flows.back}>
          <ChevronLeft size={16} strokeWidth={1.8} aria-hidden />
        </Link>
      }
      summary={flow.data === undefined ? undefined : text.flows.revision(flow.data.revisionId)}
      actions={overview !== undefined && <FlowSwitch flow={overview} />}
      bars={
        <Tabs
          label={name}
          selected={tab ?? 'words'}
          tabs={[
            { id: 'words', label: text.flows.words, link: { to: '/flows/$flowId', params, search: {} } },
            {
              id: 'activity',
              label: text.flows.activity,
              link: { to: '/flows/$flowId', params, search: { tab: 'activity' } },
            },
            {
              id: 'revisions',
              label: text.flows.revisions,
              link: { to: '/flows/$flowId', params, search: { tab: 'revisions' } },
            },
            { id: 'json', label: text.flows.json, link: { to: '/flows/$flowId', params, search: { tab: 'json' } } },
          ]}
        />
      }
    >
      {flow.isPending ? (
        <LoadingRows rows={4} />
      ) : flow.data === undefined ? (
        <ErrorState error={flow.error} onRetry={() => void flow.refetch()} />
      ) : tab === 'activity' ? (
        <Activity flowId={flowId} />
      ) : tab === 'revisions' ? (
        <Revisions flowId={flowId} />
      ) : tab === 'json' ? (
        <Document flow={flow.data} />
      ) : (
        <Words flow={flow.data} overview={overview} />
      )}
    </Screen>
  );
}

function Words({ flow, overview }: { flow: Flow; overview: FlowOverview | undefined }) {
  return (
    <div className="page">
      <section className="card">
        <header>
          <h2>{text.flows.inWords}</h2>
          <Pill tone={flow.isEnabled ? 'good' : 'plain'} icon={null}>
            {flow.isEnabled ? text.flows.on : text.flows.off}
          </Pill>
        </header>
        <ul className="sentences">
          {overview?.explanation.map((sentence) => (
            <li key={sentence}>
              <Sentence eventTypes={overview.eventTypes}>{[sentence]}</Sentence>
            </li>
          ))}
          {overview?.canRun === false && <li>{text.flows.cannotBeRead}</li>}
        </ul>
      </section>
      {overview?.warnings.map((warning) => (
        <Note key={warning} tone="warn" icon={TriangleAlert}>
          <b>{text.flows.probablyNotIntended}</b> {warning}
        </Note>
      ))}
      <dl className="kv">
        <dt>{text.flows.id}</dt>
        <dd>
          <Id>{flow.id}</Id>
        </dd>
        <dt>{text.flows.object}</dt>
        <dd>{objectTypeName(flow.objectTypeId)}</dd>
        <dt>{text.flows.createdAt}</dt>
        <dd>
          <Time iso={flow.createdAt} />
        </dd>
        <dt>{text.flows.updatedAt}</dt>
        <dd>
          <Time iso={flow.updatedAt} />
        </dd>
        {overview?.changedBy != null && (
          <>
            <dt>{text.flows.changedBy}</dt>
            <dd>{overview.changedBy}</dd>
          </>
        )}
      </dl>
    </div>
  );
}

function Activity({ flowId }: { flowId: string }) {
  const enrollments = useInfiniteQuery(enrollmentsOfFlowQuery(flowId));
  if (enrollments.isPending) return <LoadingRows />;
  if (enrollments.data === undefined) {
    return <ErrorState error={enrollments.error} onRetry={() => void enrollments.refetch()} />;
  }
  const rows = enrollments.data.pages.flatMap((page) => page.results);
  if (rows.length === 0) return <Empty>{text.flows.noEnrollments}</Empty>;
  return (
    <>
      <table className="stacked">
        <thead>
          <tr>
            <th>{text.flows.enrolledAt}</th>
            <th>{text.flows.record}</th>
            <th>{text.flows.event}</th>
            <th>{text.flows.message}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((enrollment) => (
            <EnrollmentRow key={enrollment.enrollmentId} enrollment={enrollment} />
          ))}
        </tbody>
      </table>
      {enrollments.hasNextPage && (
        <div className="more-rows">
          <Button onPress={() => void enrollments.fetchNextPage()} isDisabled={enrollments.isFetchingNextPage}>
            {text.state.readMore(ENROLLMENTS_A_PAGE)}
          </Button>
        </div>
      )}
    </>
  );
}

function EnrollmentRow({ enrollment }: { enrollment: Enrollment }) {
  const { objectTypeId, objectId, enrolledAt, trigger, isPublished, dueAt } = enrollment;
  return (
    <tr>
      <td>
        <Time iso={enrolledAt} />
      </td>
      <td>
        <RecordLink objectTypeId={objectTypeId} objectId={objectId} />
      </td>
      <td>
        <code>{trigger.eventType}</code>
      </td>
      <td>
        {isPublished ? (
          text.flows.published
        ) : dueAt === undefined ? (
          text.flows.notPublished
        ) : (
          <>
            {text.flows.due} <Time iso={dueAt} isAbsolute />
          </>
        )}
      </td>
    </tr>
  );
}

function Revisions({ flowId }: { flowId: string }) {
  const revisions = useInfiniteQuery(revisionsQuery(flowId));
  if (revisions.isPending) return <LoadingRows rows={4} />;
  if (revisions.data === undefined) {
    return <ErrorState error={revisions.error} onRetry={() => void revisions.refetch()} />;
  }
  const rows = revisions.data.pages.flatMap((page) => page.results);
  if (rows.length === 0) return <Empty>{text.flows.noRevisions}</Empty>;
  return (
    <>
      <table className="stacked">
        <thead>
          <tr>
            <th>{text.flows.revisionColumn}</th>
            <th>{text.flows.storedAt}</th>
            <th>{text.flows.changedBy}</th>
            <th>{text.flows.inWords}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((revision) => (
            <tr key={revision.revisionId}>
              <td className="num">{revision.revisionId}</td>
              <td>
                <Time iso={revision.updatedAt} />
              </td>
              <td>{revision.changedBy ?? text.flows.notKnown}</td>
              <td>{revision.isDeleted ? text.flows.deletion : revision.explanation.join(' ')}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {revisions.hasNextPage && (
        <div className="more-rows">
          <Button onPress={() => void revisions.fetchNextPage()} isDisabled={revisions.isFetchingNextPage}>
            {text.state.readMore(REVISIONS_A_PAGE)}
          </Button>
        </div>
      )}
    </>
  );
}

function Document({ flow }: { flow: Flow }) {
  const json = JSON.stringify(flow, null, 2);
  return (
    <div className="page">
      <div className="row">
        <p className="muted grow">{text.flows.documentExplanation}</p>
        <Button icon={Download} onPress={() => download(`flow-${flow.id}.json`, `${json}\n`)}>
          {text.flows.exportJson}
        </Button>
      </div>
      <CodeBlock label={text.flows.json}>{json}</CodeBlock>
    </div>
  );
}
