/** The present time, which moves every ten seconds, and the time zone in which times are shown. */

import { useQuery } from '@tanstack/react-query';
import { useSyncExternalStore } from 'react';

import { portalQuery } from '../api/queries';
import { usePreferences } from './preferences';

const TICK_MS = 10_000;

let nowMs = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(tick, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

function tick(): void {
  nowMs = Date.now();
  for (const listener of listeners) listener();
}

/** `timeZone` undefined: the zone of this computer. */
export function useClock(): { nowMs: number; timeZone: string | undefined } {
  const { clock } = usePreferences();
  const portal = useQuery(portalQuery());
  const now = useSyncExternalStore(subscribe, () => nowMs);
  const timeZone = clock === 'local' ? undefined : clock === 'utc' ? 'UTC' : (portal.data?.timeZone ?? 'UTC');
  return { nowMs: now, timeZone };
}
