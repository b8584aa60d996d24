import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { readRevision } from '../../api/drafts';
import { REVISIONS_A_PAGE, revisionsQuery } from '../../api/queries';
import { Button } from '../../components/Button';
import { Empty, ErrorState, LoadingRows, messageOf } from '../../components/states';
import { Time } from '../../components/Time';
import { say } from '../../components/toasts';
import { withContent } from '../../drafts/documents';
import { type Json, write, writePath } from '../../drafts/json';
import { merge } from '../../drafts/merge';
import { editorText as text } from '../../editor-text';
import { text as consoleText } from '../../text';
import { useEditor } from './context';
import { PartText } from './PartText';

const words = consoleText.flows;

/** The revisions with their authors. Two can be compared, and one can become the draft. */
export function RevisionsTab({ flowId, onRestored }: { flowId: string; onRestored: () => void }) {
  const { edit } = useEditor();
  const revisions = useInfiniteQuery(revisionsQuery(flowId));
  const [chosen, setChosen] = useState<readonly string[]>([]);
  if (revisions.isPending) return <LoadingRows rows={4} />;
  if (revisions.data === undefined) {
    return <ErrorState error={revisions.error} onRetry={() => void revisions.refetch()} />;
  }
  const rows = revisions.data.pages.flatMap((page) => page.results);
  if (rows.length === 0) return <Empty>{words.noRevisions}</Empty>;

  async function restore(revisionId: string): Promise<void> {
    try {
      const document = await readRevision(flowId, revisionId);
      if (document === null) return;
      edit((draft) => withContent(draft, document));
      say(text.revisions.restored(revisionId));
      onRestored();
    } catch (error) {
      say(messageOf(error instanceof Error ? error : new Error(String(error))), 'bad');
    }
  }

  const [older, newer] = chosen.toSorted((first, second) => Number(first) - Number(second));
  return (
    <>
      <div className="page">
        {older !== undefined && newer !== undefined ? (
          <Comparison flowId={flowId} older={older} newer={newer} onClose={() => setChosen([])} />
        ) : (
          <p className="muted">{text.revisions.withNewest}</p>
        )}
      </div>
      <table className="stacked">
        <thead>
          <tr>
            <th>{text.revisions.compare}</th>
            <th>{words.revisionColumn}</th>
            <th>{words.storedAt}</th>
            <th>{words.changedBy}</th>
            <th>{words.inWords}</th>
            <th>
              <span className="sr">{text.revisions.restore}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((revision) => (
            <tr key={revision.revisionId}>
              <td>
                <input
                  type="checkbox"
                  aria-label={text.revisions.choose(revision.revisionId)}
                  disabled={revision.isDeleted}
                  checked={chosen.includes(revision.revisionId)}
                  onChange={(event) => {
                    const rest = chosen.filter((id) => id !== revision.revisionId);
                    // A third choice replaces the first.
                    setChosen(event.currentTarget.checked ? [...rest.slice(-1), revision.revisionId] : rest);
                  }}
                />
              </td>
              <td className="num">{revision.revisionId}</td>
              <td>
                <Time iso={revision.updatedAt} />
              </td>
              <td>{revision.changedBy ?? words.notKnown}</td>
              <td>{revision.isDeleted ? words.deletion : revision.explanation.join(' ')}</td>
              <td>
                {!revision.isDeleted && (
                  <Button isSmall onPress={() => void restore(revision.revisionId)}>
                    {text.revisions.restore}
                  </Button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {revisions.hasNextPage && (
        <div className="more-rows">
          <Button onPress={() => void revisions.fetchNextPage()} isDisabled={revisions.isFetchingNextPage}>
            {consoleText.state.readMore(REVISIONS_A_PAGE)}
          </Button>
        </div>
      )}
    </>
  );
}

interface ComparisonProps {
  flowId: string;
  older: string;
  newer: string;
  onClose: () => void;
}

/** The parts that differ between two revisions. A revision never changes. */
function Comparison({ flowId, older, newer, onClose }: ComparisonProps) {
  const pair = useQuery({
    queryKey: ['flow', flowId, 'revision documents', older, newer],
    queryFn: () => Promise.all([readRevision(flowId, older), readRevision(flowId, newer)]),
    staleTime: Infinity,
  });
  if (pair.isPending) return <LoadingRows rows={2} />;
  if (pair.data === undefined) return <ErrorState error={pair.error} onRetry={() => void pair.refetch()} />;
  const [before, after] = pair.data;
  const changes = before === null || after === null ? [] : merge(before, before, after).changes;
  return (
    <section className="card" aria-label={text.revisions.comparison(older, newer)}>
      <header>
        <h2 className="grow">{text.revisions.comparison(older, newer)}</h2>
        <Button isSmall look="quiet" onPress={onClose}>
          {text.revisions.close}
        </Button>
      </header>
      {changes.length === 0 ? (
        <p className="muted padded">{text.revisions.same}</p>
      ) : (
        <table className="cmp">
          <thead>
            <tr>
              <th>{text.revisions.part}</th>
              <th>{consoleText.flows.revision(older)}</th>
              <th>{consoleText.flows.revision(newer)}</th>
            </tr>
          </thead>
          <tbody>
            {changes.map((part) => (
              <tr key={writePath(part.path)}>
                <td>
                  <code>{text.conflict.partName(writePath(part.path).slice(2))}</code>
                </td>
                <td>
                  <PartValue
                    value={part.base}
                    label={`${writePath(part.path)}, ${consoleText.flows.revision(older)}`}
                  />
                </td>
                <td>
                  <PartValue
                    value={part.mine}
                    label={`${writePath(part.path)}, ${consoleText.flows.revision(newer)}`}
                  />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function PartValue({ value, label }: { value: Json | undefined; label: string }) {
  if (value === undefined) return <span className="muted">{text.revisions.absent}</span>;
  return <PartText label={label}>{write(value, true)}</PartText>;
}
