/** The tabs of a flow, which are in its address. */

const TABS = ['activity', 'revisions', 'json'] as const;

export interface FlowSearch {
  /** Absent: the flow in words. */
  tab?: (typeof TABS)[number];
}

export function readFlowSearch(raw: Record<string, unknown>): FlowSearch {
  const tab = TABS.find((name) => name === raw.tab);
  return tab === undefined ? {} : { tab };
}
