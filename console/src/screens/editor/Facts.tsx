import type { FlowOverview } from '../../api/queries';
import { Id } from '../../components/Id';
import { objectTypeName } from '../../components/records';
import { Time } from '../../components/Time';
import { objectTypeOf } from '../../drafts/documents';
import { type JsonObject, textAt } from '../../drafts/json';
import { editorText as text } from '../../editor-text';
import { text as consoleText } from '../../text';

const words = consoleText.flows;

/** What is known of the stored flow: its id, its times, and who changed it. */
export function Facts({ flow, overview }: { flow: JsonObject; overview: FlowOverview | undefined }) {
  const times = [
    [words.createdAt, textAt(flow, ['createdAt'])],
    [words.updatedAt, textAt(flow, ['updatedAt'])],
  ] as const;
  return (
    <section aria-label={text.words.facts}>
      <h2>{text.words.facts}</h2>
      <dl className="kv">
        <dt>{words.id}</dt>
        <dd>
          <Id>{textAt(flow, ['id']) ?? ''}</Id>
        </dd>
        <dt>{words.object}</dt>
        <dd>{objectTypeName(objectTypeOf(flow))}</dd>
        {times.map(([label, iso]) =>
          iso === undefined ? null : (
            <div key={label} className="pair">
              <dt>{label}</dt>
              <dd>
                <Time iso={iso} />
              </dd>
            </div>
          ),
        )}
        {overview?.changedBy != null && (
          <>
            <dt>{words.changedBy}</dt>
            <dd>{overview.changedBy}</dd>
          </>
        )}
      </dl>
    </section>
  );
}
