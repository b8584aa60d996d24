import { useInfiniteQuery, useMutation } from '@tanstack/react-query';

import { flowsQuery } from '../../api/queries';
import { enrollmentsOfRecordQuery, type RecordKey, testFlow, timelineQuery } from '../../api/record-queries';
import { Button } from '../../components/Button';
import { ColumnHeads } from '../../components/ColumnHeads';
import { flowName } from '../../components/flow-names';
import { FlowLink } from '../../components/FlowLink';
import { DecisionPill, Pill } from '../../components/Pill';
import { Empty, ErrorState, LoadingRows, messageOf } from '../../components/states';
import { Time } from '../../components/Time';
import { say } from '../../components/toasts';
import { UserText } from '../../components/UserText';
import type { Account } from '../../explanations/steps';
import { text } from '../../text';

/** Each flow about records of this type: its latest decision on the record, the enrollment, and its filters now. */
export function FlowsTab({ record, objectTypeId }: { record: RecordKey; objectTypeId: string }) {
  const flows = useInfiniteQuery(flowsQuery());
  const timeline = useInfiniteQuery(timelineQuery(record, undefined));
  const enrollments = useInfiniteQuery(enrollmentsOfRecordQuery(record));
  if (flows.isPending) return <LoadingRows />;
  if (flows.data === undefined) return <ErrorState error={flows.error} onRetry={() => void flows.refetch()} />;

  const shown = flows.data.pages.flatMap((page) => page.results).filter((flow) => flow.objectTypeId === objectTypeId);
  if (shown.length === 0) return <Empty>{text.record.noFlows}</Empty>;
  const events = timeline.data?.pages.flatMap((page) => page.results) ?? [];
  const latest = new Map<string, Account>();
  for (const decision of events.flatMap(({ decisions }) => decisions)) {
    if (!latest.has(decision.flowId)) latest.set(decision.flowId, decision);
  }
  const enrolled = enrollments.data?.pages.flatMap((page) => page.results) ?? [];
  return (
    <>
      <table className="record-flows">
        <ColumnHeads names={[text.record.flow, text.record.latest, text.record.enrolledAt, text.record.now]} />
        <tbody>
          {shown.map((flow) => {
            const decision = latest.get(flow.id);
            const enrollment = enrolled.find(({ flowId }) => flowId === flow.id);
            const name = flowName(flow.id, flow.name);
            return (
              <tr key={flow.id}>
                <th scope="row">
                  <FlowLink flowId={flow.id}>
                    <UserText>{name}</UserText>
                  </FlowLink>
                </th>
                <td>
                  {decision === undefined ? (
                    <span className="muted">{text.record.notRead}</span>
                  ) : (
                    <DecisionPill code={decision.code} />
                  )}
                </td>
                <td className="num">
                  {enrollment === undefined ? (
                    <span className="muted">{text.record.never}</span>
                  ) : (
                    <Time iso={enrollment.enrolledAt} isAbsolute />
                  )}
                </td>
                <td>
                  <FiltersNow flowId={flow.id} objectId={record.objectId} name={name} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      <p className="muted small padded num">{text.record.ofRead(events.length)}</p>
    </>
  );
}

/** Whether the filters of a flow hold for the record at present: asked on demand, because it reads the record. */
function FiltersNow({ flowId, objectId, name }: { flowId: string; objectId: string; name: string }) {
  const test = useMutation({
    mutationFn: () => testFlow(flowId, objectId),
    onError: (error) => say(messageOf(error), 'bad'),
  });
  if (test.data !== undefined) {
    return (
      <Pill tone={test.data.passed ? 'good' : 'warn'} icon={null}>
        {test.data.passed ? text.record.holds : text.record.fails}
      </Pill>
    );
  }
  return (
    <Button
      isSmall
      look="quiet"
      isDisabled={test.isPending}
      onPress={() => test.mutate()}
      aria-label={`${text.record.test}: ${name}`}
    >
      {test.isPending ? text.record.testing : text.record.test}
    </Button>
  );
}
