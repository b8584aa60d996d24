/** HubSpot's ids of the unlabelled association types (domain/records/associations.py). */

import type { AssociationKind } from './documents';

/** Object types that the editor offers: contact, company, deal, ticket. */
export const OBJECT_TYPES: readonly string[] = ['0-1', '0-2', '0-3', '0-5'];

/** From the first to the second, and back. */
const DEFAULTS: Readonly<Record<string, readonly [number, number]>> = {
  '0-1 0-1': [449, 449],
  '0-1 0-2': [279, 280],
  '0-1 0-3': [4, 3],
  '0-1 0-5': [15, 16],
  '0-2 0-2': [450, 450],
  '0-2 0-3': [342, 341],
  '0-2 0-5': [340, 339],
  '0-3 0-3': [451, 451],
  '0-3 0-5': [27, 28],
  '0-5 0-5': [452, 452],
};

/** The unlabelled association from one object type to another. 1 if HubSpot publishes no id for it. */
export const associationKind = (from: string, to: string): AssociationKind => ({
  objectTypeId: to,
  associationCategory: 'HUBSPOT_DEFINED',
  associationTypeId: DEFAULTS[`${from} ${to}`]?.[0] ?? DEFAULTS[`${to} ${from}`]?.[1] ?? 1,
});
