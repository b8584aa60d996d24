/** The pages that the navigation shows. A page appears here once its route works. */

import { Activity, BookOpen, Grid3x3, type LucideIcon, SlidersHorizontal, UserRound, Workflow } from 'lucide-react';

import { text } from '../text';

export interface Page {
  to: '/flows' | '/live' | '/records' | '/why' | '/catalog' | '/settings';
  label: string;
  icon: LucideIcon;
  /** The sequence of keys that opens it, for example `g f`. */
  keys?: string;
  /** `work`: at the top; `care`: below a line; `about`: at the bottom. */
  group: 'work' | 'care' | 'about';
}

export const PAGES: readonly Page[] = [
  { to: '/flows', label: text.navigation.flows, icon: Workflow, keys: 'g f', group: 'work' },
  { to: '/live', label: text.navigation.live, icon: Activity, keys: 'g l', group: 'work' },
  { to: '/records', label: text.navigation.records, icon: UserRound, keys: 'g r', group: 'work' },
  { to: '/why', label: text.navigation.why, icon: Grid3x3, keys: 'g w', group: 'work' },
  { to: '/catalog', label: text.navigation.catalog, icon: BookOpen, keys: 'g c', group: 'about' },
  { to: '/settings', label: text.navigation.settings, icon: SlidersHorizontal, keys: 'g s', group: 'about' },
];

/** Pages in the bar at the bottom of a small screen. The others are in its menu. */
export const PAGES_IN_BAR = 4;
