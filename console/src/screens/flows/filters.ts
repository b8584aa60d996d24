/** The filters of the list of flows, which are in its address. They filter what was read already. */

import type { FlowOverview } from '../../api/queries';
import { DECISIONS, type DecisionCode } from '../../components/decisions';
import { objectTypeName } from '../../components/records';

export type FlowStatus = 'on' | 'off';

export interface FlowsSearch {
  search?: string;
  status?: FlowStatus;
  /** An event type. */
  event?: string;
  /** An object type id, for example `0-1`. */
  object?: string;
  decision?: DecisionCode;
  warnings?: boolean;
}

/** Read the filters from the address. Anything else in it is left out. */
export function readFlowsSearch(raw: Record<string, unknown>): FlowsSearch {
  const text = (name: string): string | undefined => {
    const value = raw[name];
    return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
  };
  const filters: Partial<Record<keyof FlowsSearch, unknown>> = {
    search: text('search'),
    status: raw.status === 'on' || raw.status === 'off' ? raw.status : undefined,
    event: text('event'),
    object: text('object'),
    decision: Object.keys(DECISIONS).find((code) => code === raw.decision),
    warnings: raw.warnings === true ? true : undefined,
  };
  return withoutEmpty(filters);
}

/** Leave out filters that filter nothing, so that they are not in the address. */
export const withoutEmpty = (filters: Partial<Record<keyof FlowsSearch, unknown>>): FlowsSearch =>
  Object.fromEntries(
    Object.entries(filters).filter(
      ([, value]) => value !== undefined && value !== '' && value !== null && value !== false,
    ),
  );

/** Whether a flow passes all filters. `decision`: its last decision, if it is known. */
export function passes(flow: FlowOverview, filters: FlowsSearch, decision: DecisionCode | null | undefined): boolean {
  return (
    (filters.status === undefined || flow.isEnabled === (filters.status === 'on')) &&
    (filters.event === undefined || flow.eventTypes.includes(filters.event)) &&
    (filters.object === undefined || flow.objectTypeId === filters.object) &&
    (filters.decision === undefined || decision === filters.decision) &&
    (filters.warnings === undefined || flow.warnings.length > 0) &&
    matches(flow, filters.search ?? '')
  );
}

/** Whether each word is in the flow's name, sentences, events, object or id. */
function matches(flow: FlowOverview, search: string): boolean {
  const content = [flow.name ?? '', ...flow.explanation, ...flow.eventTypes, objectTypeName(flow.objectTypeId), flow.id]
    .join(' ')
    .toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => content.includes(word));
}
