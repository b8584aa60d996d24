import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { TriangleAlert, Workflow } from 'lucide-react';
import { useCallback, useMemo, useRef } from 'react';

import { eventTypesQuery, FLOWS_A_PAGE, type FlowOverview, flowsQuery } from '../../api/queries';
import { Button } from '../../components/Button';
import { DECISIONS } from '../../components/decisions';
import { FilterChip, type FilterOption } from '../../components/FilterChip';
import { objectTypeName } from '../../components/records';
import { SearchField } from '../../components/SearchField';
import { Segmented } from '../../components/Segmented';
import { Empty, ErrorState, LoadingRows, StaleBar } from '../../components/states';
import { useRowKeys } from '../../components/useRowKeys';
import { useKeys } from '../../shell/keys';
import { Screen } from '../../shell/Screen';
import { formatNumber, text } from '../../text';
import { type FlowsSearch, passes, withoutEmpty } from './filters';
import { FlowTable } from './FlowTable';
import { ImportFlow } from './ImportFlow';
import { NewFlow } from './NewFlow';
import { useFlowSummaries } from './useFlowSummaries';

const NONE: readonly FlowOverview[] = [];

export function FlowsScreen() {
  const filters = useSearch({ from: '/flows' });
  const navigate = useNavigate({ from: '/flows' });
  const flows = useInfiniteQuery(flowsQuery());
  const all = useMemo(() => flows.data?.pages.flatMap((page) => page.results) ?? NONE, [flows.data]);
  const summaries = useFlowSummaries(all);
  const shown = useMemo(
    () => all.filter((flow) => passes(flow, filters, summaries.of(flow.id)?.lastDecision?.code)),
    [all, filters, summaries],
  );

  const change = (next: FlowsSearch) => void navigate({ search: withoutEmpty({ ...filters, ...next }), replace: true });
  const open = useCallback(
    (row: number) => {
      const flow = shown[row];
      if (flow !== undefined) void navigate({ to: '/flows/$flowId', params: { flowId: flow.id } });
    },
    [shown, navigate],
  );
  const selected = useRowKeys(shown.length, open);

  const searchField = useRef<HTMLInputElement>(null);
  useKeys(
    text.keys.list,
    useMemo(() => [{ keys: '/', label: text.keys.filter, run: () => searchField.current?.focus() }], []),
  );

  const bars = (
    <>
      <FilterBar flows={all} filters={filters} onChange={change} enrolled24h={summaries.enrolled24h} />
      {flows.isRefetchError && <StaleBar updatedAtMs={flows.dataUpdatedAt} onRetry={() => void flows.refetch()} />}
    </>
  );
  const on = all.filter((flow) => flow.isEnabled).length;
  return (
    <Screen
      title={text.flows.title}
      summary={flows.data === undefined ? undefined : text.flows.summary(all.length, on, flows.hasNextPage)}
      actions={
        <>
          <SearchField
            label={text.flows.search}
            placeholder={text.flows.searchHint}
            value={filters.search ?? ''}
            onChange={(search) => change({ search })}
            shortcut="/"
            inputRef={searchField}
          />
          <ImportFlow />
          <NewFlow />
        </>
      }
      bars={bars}
    >
      {flows.isPending ? (
        <LoadingRows />
      ) : flows.data === undefined ? (
        <ErrorState error={flows.error} onRetry={() => void flows.refetch()} />
      ) : all.length === 0 ? (
        <Empty icon={Workflow} action={<NewFlow />}>
          {text.flows.empty}
        </Empty>
      ) : shown.length === 0 ? (
        <Empty action={<Button onPress={() => void navigate({ search: {} })}>{text.flows.showAll}</Button>}>
          {text.flows.noMatch}
        </Empty>
      ) : (
        <FlowTable flows={shown} selected={selected} summaries={summaries} />
      )}
      {flows.hasNextPage && (
        <div className="more-rows">
          <Button onPress={() => void flows.fetchNextPage()} isDisabled={flows.isFetchingNextPage}>
            {text.state.readMore(FLOWS_A_PAGE)}
          </Button>
        </div>
      )}
    </Screen>
  );
}

interface FilterBarProps {
  flows: readonly FlowOverview[];
  filters: FlowsSearch;
  onChange: (change: FlowsSearch) => void;
  /** Undefined: not known yet. */
  enrolled24h: number | undefined;
}

function FilterBar({ flows, filters, onChange, enrolled24h }: FilterBarProps) {
  const catalog = useQuery(eventTypesQuery()).data ?? [];
  const events: FilterOption[] = unique(flows.flatMap((flow) => flow.eventTypes)).map((eventType) => ({
    id: eventType,
    label: catalog.find((entry) => entry.eventType === eventType)?.label ?? eventType,
    detail: eventType,
  }));
  const objects = unique(flows.map((flow) => flow.objectTypeId)).map((id) => ({ id, label: objectTypeName(id) }));
  const warnings = flows.filter((flow) => flow.warnings.length > 0).length;
  // A value that is undefined removes its filter.
  const set = (change: Partial<Record<keyof FlowsSearch, unknown>>) => onChange(change as FlowsSearch);
  return (
    <div className="bar" role="group" aria-label={text.flows.filters}>
      <Segmented
        label={text.flows.status}
        options={[
          { value: 'all', label: text.flows.all },
          { value: 'on', label: text.flows.on },
          { value: 'off', label: text.flows.off },
        ]}
        value={filters.status ?? 'all'}
        onChange={(status) => set({ status: status === 'all' ? undefined : status })}
      />
      <FilterChip
        label={text.flows.event}
        options={events}
        value={filters.event ?? null}
        onChange={(event) => set({ event })}
      />
      <FilterChip
        label={text.flows.object}
        options={objects}
        value={filters.object ?? null}
        onChange={(object) => set({ object })}
      />
      <FilterChip
        label={text.flows.column.last}
        options={Object.entries(DECISIONS).map(([id, look]) => ({ id, label: look.words }))}
        value={filters.decision ?? null}
        onChange={(decision) => set({ decision })}
      />
      {(warnings > 0 || filters.warnings === true) && (
        <button
          type="button"
          className="chip"
          aria-pressed={filters.warnings === true}
          onClick={() => set({ warnings: filters.warnings !== true })}
        >
          <TriangleAlert size={14} strokeWidth={1.8} aria-hidden />
          {text.flows.withWarnings} <b>{formatNumber(warnings)}</b>
        </button>
      )}
      <span className="grow" />
      {enrolled24h !== undefined && (
        <p className="stats wide num">
          <span>
            <b>{formatNumber(enrolled24h)}</b> {text.flows.enrolled24h}
          </span>
        </p>
      )}
    </div>
  );
}

const unique = (values: readonly string[]): string[] => [...new Set(values)].sort();
