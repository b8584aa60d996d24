/** Commands of the palette. They follow from what the page has read already; the palette reads only the catalog. */

import { BookOpen, CircleDot, Power, UserRound, Workflow } from 'lucide-react';

import type { EventType, FlowOverview } from '../api/queries';
import { flowName } from '../components/flow-names';
import { visibleControls } from '../components/user-text';
import { readRecordSearch } from '../screens/records/search';
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
    const name = flowName(flow.id, flow.name);
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

/** What was typed as a record, and, unless it is an email address, as the ID of an event. */
export function searchCommands(typed: string, navigate: Navigate): Command[] {
  const search = readRecordSearch(typed);
  if (search.kind === 'nothing') return [];
  const find = typed.trim();
  const shown = visibleControls(find);
  const record: Command = {
    id: 'find record',
    label: text.palette.record(
      search.kind === 'email' ? shown : visibleControls(`${search.record.objectType}/${search.record.objectId}`),
    ),
    icon: UserRound,
    run: () => void navigate({ to: '/records', search: { find } }),
  };
  const event: Command = {
    id: 'find event',
    label: text.palette.event(shown),
    icon: CircleDot,
    run: () => void navigate({ to: '/events/$', params: { _splat: find } }),
  };
  if (search.kind === 'email') return [record];
  // Words, for example of a command, are no ID of a record. An ID of an event may have spaces.
  return /\s/.test(find) && !find.includes('/') ? [event] : [record, event];
}
