/** The pages that the navigation shows. A page appears here once its route works. */

import { type LucideIcon, Workflow } from 'lucide-react';

import { text } from '../text';

export interface Page {
    to: '/flows';
    label: string;
    icon: LucideIcon;
    /** The sequence of keys that opens it, for example `g f`. */
    keys?: string;
    /** `work`: at the top; `care`: below a line; `about`: at the bottom. */
    group: 'work' | 'care' | 'about';
}

export const PAGES: readonly Page[] = [
    { to: '/flows', label: text.navigation.flows, icon: Workflow, keys: 'g f', group: 'work' },
];

/** Pages in the bar at the bottom of a small screen. The others are in its menu. */
export const PAGES_IN_BAR = 4;
