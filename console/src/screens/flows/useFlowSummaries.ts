/**
 * Counts and last decisions of the flows in view. The API computes them when asked, from at most ten flows a request,
 * so only rows that are visible are read, and again every minute while the page is visible.
 */

import { useQueries } from '@tanstack/react-query';
import { useCallback, useMemo, useRef, useState } from 'react';

import { type FlowActivity, type FlowOverview, flowActivityQuery } from '../../api/queries';

export type FlowSummary = FlowActivity;

export const FLOWS_A_REQUEST = 10;

export interface FlowSummaries {
  /** The summary of a flow; undefined if it has not been read. */
  of: (flowId: string) => FlowSummary | undefined;
  /** Whether a summary that is missing will come. */
  areAvailable: boolean;
  /** Enrollments of 24 hours in all flows; undefined until each flow has been read. */
  enrolled24h: number | undefined;
  /** A ref for the row of a flow, which is read once the row is visible. */
  watch: (flowId: string) => (row: HTMLElement | null) => (() => void) | undefined;
}

export function useFlowSummaries(flows: readonly FlowOverview[]): FlowSummaries {
  const [seen, setSeen] = useState<ReadonlySet<string>>(new Set());
  const groups = useMemo(() => inGroups(flows.map((flow) => flow.id)), [flows]);
  const results = useQueries({
    queries: groups.map((ids) => ({ ...flowActivityQuery(ids), enabled: ids.some((id) => seen.has(id)) })),
    combine: (queries) => ({
      byId: new Map(queries.flatMap((query) => query.data ?? []).map((summary) => [summary.flowId, summary])),
      hasFailed: queries.some((query) => query.isError),
    }),
  });

  const observer = useRef<IntersectionObserver>(null);
  const watch = useCallback(
    (flowId: string) => (row: HTMLElement | null) => {
      if (row === null) return undefined;
      row.dataset.flow = flowId;
      observer.current ??= new IntersectionObserver((entries) => {
        const visible = entries.filter((entry) => entry.isIntersecting).map((entry) => flowOf(entry.target));
        if (visible.length > 0) setSeen((before) => withAll(before, visible));
      });
      const current = observer.current;
      current.observe(row);
      return () => current.unobserve(row);
    },
    [],
  );

  const { byId, hasFailed } = results;
  const isComplete = flows.length > 0 && flows.every((flow) => byId.has(flow.id));
  return useMemo(
    () => ({
      of: (flowId: string) => byId.get(flowId),
      areAvailable: !hasFailed,
      enrolled24h: isComplete ? [...byId.values()].reduce((sum, { enrolled }) => sum + enrolled.last24h, 0) : undefined,
      watch,
    }),
    [byId, hasFailed, isComplete, watch],
  );
}

function inGroups(ids: readonly string[]): string[][] {
  const groups: string[][] = [];
  for (let start = 0; start < ids.length; start += FLOWS_A_REQUEST)
    groups.push(ids.slice(start, start + FLOWS_A_REQUEST));
  return groups;
}

const flowOf = (row: Element): string => (row instanceof HTMLElement ? (row.dataset.flow ?? '') : '');

function withAll(before: ReadonlySet<string>, ids: readonly string[]): ReadonlySet<string> {
  return ids.every((id) => before.has(id)) ? before : new Set([...before, ...ids]);
}
