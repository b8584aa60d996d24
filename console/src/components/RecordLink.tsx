import { recordPath } from './records';

interface RecordLinkProps {
  objectTypeId: string;
  objectId: string;
  /** The name of the record, if it is known. */
  name?: string | undefined;
}

/** A record, by its name or by its type and id. */
export function RecordLink({ objectTypeId, objectId, name }: RecordLinkProps) {
  return <span title={recordPath(objectTypeId, objectId)}>{name ?? recordPath(objectTypeId, objectId)}</span>;
}
