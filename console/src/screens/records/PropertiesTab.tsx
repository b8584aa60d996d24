import { useQuery } from '@tanstack/react-query';

import { propertyHistoryQuery, type RecordKey, type WholeRecord } from '../../api/record-queries';
import { ColumnHeads } from '../../components/ColumnHeads';
import { Empty, messageOf, Placeholder } from '../../components/states';
import { Time } from '../../components/Time';
import { UserText } from '../../components/UserText';
import { foundWords } from '../../explanations/found';
import { text } from '../../text';

/** The properties of a record, when each changed, and their earlier values. */
export function PropertiesTab({ record, recordKey }: { record: WholeRecord; recordKey: RecordKey }) {
  const names = Object.keys(record.properties);
  const history = useQuery(propertyHistoryQuery(recordKey, names));
  if (names.length === 0) return <Empty>{text.record.noProperties}</Empty>;
  return (
    <>
      {history.error !== null && (
        <p role="alert" className="padded">
          {messageOf(history.error)}
        </p>
      )}
      <table className="properties">
        <ColumnHeads names={[text.record.property, text.record.value, text.record.changed, text.record.earlier]} />
        <tbody>
          {Object.entries(record.properties).map(([name, { value, changedAt }]) => (
            <tr key={name}>
              <th scope="row">
                <code>
                  <UserText>{name}</UserText>
                </code>
              </th>
              <td>
                <UserText>{foundWords(value)}</UserText>
              </td>
              <td className="num muted">
                <Time iso={changedAt} isAbsolute />
              </td>
              <td>
                {history.isPending ? (
                  <Placeholder size="s" />
                ) : (
                  <EarlierValues values={history.data?.propertiesWithHistory?.[name] ?? []} />
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

interface EarlierValue {
  value: string;
  timestamp: string;
}

/** The values before the present one, which is the first. */
function EarlierValues({ values }: { values: readonly EarlierValue[] }) {
  const earlier = values.slice(1);
  if (earlier.length === 0) return <span className="muted">{text.record.noEarlier}</span>;
  return (
    <ol className="earlier num">
      {earlier.map(({ value, timestamp }) => (
        <li key={timestamp}>
          <UserText>{foundWords(value)}</UserText> <span className="muted">{<Time iso={timestamp} isAbsolute />}</span>
        </li>
      ))}
    </ol>
  );
}
