import { useInfiniteQuery } from '@tanstack/react-query';

import { flowsQuery } from '../../api/queries';
import { Empty, ErrorState, LoadingRows, StaleBar } from '../../components/states';
import { Screen } from '../../shell/Screen';
import { text } from '../../text';

export type FlowStatus = 'on' | 'off';

export interface FlowsSearch {
    search?: string;
    status?: FlowStatus;
}

/** Read the filters from the address. Anything else in it is left out. */
export function readFlowsSearch(raw: Record<string, unknown>): FlowsSearch {
    return {
        ...(typeof raw.search === 'string' && raw.search !== '' ? { search: raw.search } : {}),
        ...(raw.status === 'on' || raw.status === 'off' ? { status: raw.status } : {}),
    };
}

export function FlowsScreen() {
    const flows = useInfiniteQuery(flowsQuery());
    const all = flows.data?.pages.flatMap((page) => page.results) ?? [];
    const on = all.filter((flow) => flow.isEnabled).length;
    return (
        <Screen
            title={text.flows.title}
            summary={flows.data === undefined ? undefined : text.flows.summary(all.length, on)}
            bars={
                flows.isRefetchError && (
                    <StaleBar updatedAtMs={flows.dataUpdatedAt} onRetry={() => void flows.refetch()} />
                )
            }
        >
            {flows.isPending ? (
                <LoadingRows />
            ) : flows.data === undefined ? (
                <ErrorState error={flows.error} onRetry={() => void flows.refetch()} />
            ) : all.length === 0 ? (
                <Empty>{text.flows.empty}</Empty>
            ) : (
                <ul>
                    {all.map((flow) => (
                        <li key={flow.id}>{flow.name ?? text.flows.unnamed(flow.id)}</li>
                    ))}
                </ul>
            )}
        </Screen>
    );
}
