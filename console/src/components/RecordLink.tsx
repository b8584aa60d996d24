import { Link } from '@tanstack/react-router';

import { routeType } from './events';
import { visibleControls } from './user-text';
import { UserText } from './UserText';

interface RecordLinkProps {
  /** An id (`0-1`) or a name (`CONTACT`) of the object type. */
  objectTypeId: string;
  objectId: string;
  /** The name of the record, if it is known. */
  name?: string | undefined;
}

/** A link to a record, by its name or by its type and id. */
export function RecordLink({ objectTypeId, objectId, name }: RecordLinkProps) {
  const objectType = routeType(objectTypeId);
  const path = `${objectType}/${objectId}`;
  return (
    <Link
      className="link"
      to="/records/$objectType/$objectId"
      params={{ objectType, objectId }}
      title={visibleControls(path)}
    >
      <UserText>{name ?? path}</UserText>
    </Link>
  );
}
