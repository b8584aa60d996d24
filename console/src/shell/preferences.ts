/**
 * What this browser remembers: how the console looks, and the portals that were opened. It holds no data of records
 * other than ids.
 */

import { useSyncExternalStore } from 'react';

export type Theme = 'system' | 'light' | 'dark';
export type Clock = 'portal' | 'local' | 'utc';

export interface Preferences {
  theme: Theme;
  /** In which time zone times are shown. */
  clock: Clock;
  /** Whether keys of a single letter act (WCAG 2.1.4 requires that they can be turned off). */
  singleKeys: boolean;
  /** Ids of portals, the latest first. The first is open. */
  portals: readonly string[];
}

const STORED_AS = 'enroll.preferences';
const PORTALS_KEPT = 8;
const DEFAULTS: Preferences = { theme: 'system', clock: 'portal', singleKeys: true, portals: [] };

const listeners = new Set<() => void>();
let current = stored();

function stored(): Preferences {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(STORED_AS) ?? '{}');
    return typeof value === 'object' && value !== null ? withDefaults(value) : DEFAULTS;
  } catch {
    // Storage may be refused, or hold another version's text. The defaults serve.
    return DEFAULTS;
  }
}

function withDefaults(value: Partial<Record<keyof Preferences, unknown>>): Preferences {
  return {
    theme: value.theme === 'light' || value.theme === 'dark' ? value.theme : DEFAULTS.theme,
    clock: value.clock === 'local' || value.clock === 'utc' ? value.clock : DEFAULTS.clock,
    singleKeys: value.singleKeys !== false,
    portals: Array.isArray(value.portals) ? value.portals.filter((id) => typeof id === 'string') : [],
  };
}

export const preferences = (): Preferences => current;

export function setPreferences(change: Partial<Preferences>): void {
  current = { ...current, ...change };
  try {
    localStorage.setItem(STORED_AS, JSON.stringify(current));
  } catch {
    // The choice lasts until the page is closed.
  }
  for (const listener of listeners) listener();
}

/** Put `portalId` first in the list of portals. */
export function rememberPortal(portalId: string): void {
  const portals = [portalId, ...current.portals.filter((id) => id !== portalId)].slice(0, PORTALS_KEPT);
  setPreferences({ portals });
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const usePreferences = (): Preferences => useSyncExternalStore(subscribe, preferences);
