/** The portal that is open: its id, and what the caller may do in it. */

import { type QueryClient, useQuery } from '@tanstack/react-query';

import { setPortalId } from '../api/client';
import { portalQuery } from '../api/queries';
import { text } from '../text';
import { type Hosting, isHostReadOnly } from './hosting';
import { preferences, rememberPortal, usePreferences } from './preferences';

/** The id of the open portal; empty if none was chosen yet. */
export const usePortalId = (): string => usePreferences().portals[0] ?? '';

/** Open the portal that the user chose at the start of the host, that was open last, or that the host proposes. */
export function openFirstPortal({ portalId: proposed, isPortalChosen }: Hosting): void {
  const last = preferences().portals[0] ?? '';
  const portalId = isPortalChosen || last === '' ? (proposed ?? '') : last;
  if (portalId !== '') rememberPortal(portalId);
  setPortalId(portalId);
}

/** Open another portal. Nothing that was read from the portal before stays. */
export function openPortal(portalId: string, client: QueryClient): void {
  setPortalId(portalId);
  rememberPortal(portalId);
  client.clear();
}

/** Return why the caller may not use an operation with `scope`; undefined if it may, or if this is not known yet. */
export function useMissingScope(scope: string): string | undefined {
  const portal = useQuery(portalQuery());
  if (isHostReadOnly()) return text.state.readOnly;
  return portal.data === undefined || portal.data.scopes.includes(scope) ? undefined : text.state.missingScope(scope);
}

export const SCOPES = {
  writeFlows: 'enroll/flows.write',
  writeRecords: 'enroll/records.write',
  writeEnrollments: 'enroll/enrollments.write',
} as const;
