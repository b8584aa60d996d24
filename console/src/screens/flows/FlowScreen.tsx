import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, useParams, useSearch } from '@tanstack/react-router';
import { ChevronLeft } from 'lucide-react';

import { documentQuery } from '../../api/drafts';
import { type Enrollment, ENROLLMENTS_A_PAGE, enrollmentsOfFlowQuery } from '../../api/queries';
import { Button } from '../../components/Button';
import { RecordLink } from '../../components/RecordLink';
import { Empty, ErrorState, LoadingRows } from '../../components/states';
import { Time } from '../../components/Time';
import { Screen } from '../../shell/Screen';
import { text } from '../../text';
import { Editor } from '../editor/Editor';

/** One flow: its triggers, whom it enrolled, its revisions and its document. */
export default function FlowScreen() {
  const { flowId } = useParams({ from: '/flows/$flowId' });
  const { tab } = useSearch({ from: '/flows/$flowId' });
  const flow = useQuery(documentQuery(flowId));
  if (flow.data !== undefined) {
    return <Editor key={flowId} flowId={flowId} saved={flow.data} tab={tab} activity={<Activity flowId={flowId} />} />;
  }
  return (
    <Screen
      title={text.flows.unnamed(flowId)}
      back={
        <Link to="/flows" className="crumb" aria-label={text.flows.back}>
          <ChevronLeft size={16} strokeWidth={1.8} aria-hidden />
        </Link>
      }
    >
      {flow.isPending ? (
        <LoadingRows rows={4} />
      ) : (
        <ErrorState error={flow.error} onRetry={() => void flow.refetch()} />
      )}
    </Screen>
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
