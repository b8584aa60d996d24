/** Names of records. */

import { text } from '../text';
import { visibleControls } from './user-text';

type PropertyValue = string | number | boolean | null | readonly string[];

/** Properties that name a record, the best first, after first and last name. */
const NAME_PROPERTIES = ['name', 'dealname', 'subject', 'email'];

/** `contact` for `0-1`; the id itself for a custom object. */
export const objectTypeName = (objectTypeId: string): string => text.objectType[objectTypeId] ?? objectTypeId;

/** `contact/103`. */
export const recordPath = (objectTypeId: string, objectId: string): string =>
  `${objectTypeName(objectTypeId)}/${objectId}`;

/** Return the name of a record: first and last name, another property that names it, or its type and id. */
export function recordName(
  objectTypeId: string,
  objectId: string,
  properties: Readonly<Record<string, PropertyValue | undefined>>,
): string {
  return visibleControls(rawName(objectTypeId, objectId, properties));
}

function rawName(
  objectTypeId: string,
  objectId: string,
  properties: Readonly<Record<string, PropertyValue | undefined>>,
): string {
  const fullName = [properties.firstname, properties.lastname].filter(isText).join(' ');
  if (fullName !== '') return fullName;
  return NAME_PROPERTIES.map((name) => properties[name]).find(isText) ?? recordPath(objectTypeId, objectId);
}

const isText = (value: PropertyValue | undefined): value is string => typeof value === 'string' && value.trim() !== '';
