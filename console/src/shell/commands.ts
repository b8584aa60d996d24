/** Commands of the palette. They follow from what the page has read already; the palette reads only the catalog. */

import { BookOpen, Power, Workflow } from 'lucide-react';

import type { EventType, FlowOverview } from '../api/queries';
import { text } from '../text';
import type { Command } from './Palette';
import type { router } from '../router';

type Navigate = typeof router.navigate;

export function flowCommands(
  flows: readonly FlowOverview[],
  navigate: Navigate,
  turn: (flow: FlowOverview) => void,
): Command[] {
  return flows.flatMap((flow) => {
    const name = flow.name ?? text.flows.unnamed(flow.id);
    return [
      {
        id: `flow ${flow.id}`,
        label: name,
        hint: text.palette.flow(flow.id),
        icon: Workflow,
        run: () => void navigate({ to: '/flows/$flowId', params: { flowId: flow.id } }),
      },
      {
        id: `turn ${flow.id}`,
        label: flow.isEnabled ? text.palette.turnOff(name) : text.palette.turnOn(name),
        hint: text.palette.flow(flow.id),
        icon: Power,
        isAction: true,
        run: () => turn(flow),
      },
    ];
  });
}

export const eventTypeCommands = (events: readonly EventType[], navigate: Navigate): Command[] =>
  events.map((event) => ({
    id: `event ${event.eventType}`,
    label: event.label,
    hint: event.eventType,
    icon: BookOpen,
    run: () => void navigate({ to: '/catalog/$eventType', params: { eventType: event.eventType } }),
  }));
