/** Commands of the palette that depend on what the page has read already. The palette reads nothing itself. */

import type { QueryClient } from '@tanstack/react-query';
import type { useNavigate } from '@tanstack/react-router';
import { Workflow } from 'lucide-react';

import { flowsQuery } from '../api/queries';
import { text } from '../text';
import type { Command } from './Palette';

export function flowCommands(client: QueryClient, navigate: ReturnType<typeof useNavigate>): Command[] {
    const flows = client.getQueryData(flowsQuery().queryKey)?.pages.flatMap((page) => page.results) ?? [];
    return flows.map((flow) => ({
        id: `flow ${flow.id}`,
        label: flow.name ?? text.flows.unnamed(flow.id),
        hint: text.palette.flow(flow.id),
        icon: Workflow,
        run: () => void navigate({ to: '/flows', search: { search: flow.name ?? flow.id } }),
    }));
}
