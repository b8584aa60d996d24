import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Keyboard, type LucideIcon, Search } from 'lucide-react';
import { useState } from 'react';
import { Autocomplete, Input, Modal, ModalOverlay } from 'react-aria-components';
import { Dialog } from 'react-aria-components/Dialog';
import { Menu, MenuItem } from 'react-aria-components/Menu';
import { SearchField } from 'react-aria-components/SearchField';

import { turnFlow } from '../api/changes';
import { eventTypesQuery, type FlowOverview, flowsQuery } from '../api/queries';
import { messageOf } from '../components/states';
import { say } from '../components/toasts';
import { UserText } from '../components/UserText';
import { text } from '../text';
import { eventTypeCommands, flowCommands, searchCommands } from './commands';
import { PAGES } from './pages';

/** One line of the palette. */
export interface Command {
  id: string;
  label: string;
  /** At the right, in grey: what the command leads to. */
  hint?: string;
  icon: LucideIcon;
  /** More words by which the command is found. */
  words?: string;
  /** It changes something, so it appears only when it is searched for. */
  isAction?: boolean;
  run: () => void;
}

const SHOWN = 10;

interface PaletteProps {
  onClose: () => void;
  onShowKeys: () => void;
}

/** Search and commands: pages, flows, records, events, entries of the catalog. */
export default function Palette({ onClose, onShowKeys }: PaletteProps) {
  const [query, setQuery] = useState('');
  const navigate = useNavigate();
  const client = useQueryClient();
  const flows = client.getQueryData(flowsQuery().queryKey)?.pages.flatMap((page) => page.results) ?? [];
  const events = useQuery(eventTypesQuery()).data ?? [];
  const turned = useMutation({
    mutationFn: (flow: FlowOverview) => turnFlow(flow.id, !flow.isEnabled),
    onSuccess: (flow) => say((flow.isEnabled ? text.flows.turnedOn : text.flows.turnedOff)(flow.name ?? flow.id)),
    onError: (error) => say(messageOf(error), 'bad'),
    onSettled: () => client.invalidateQueries({ queryKey: flowsQuery().queryKey }),
  });
  const commands: Command[] = [
    ...PAGES.map(({ to, label, icon }) => ({
      id: `page ${to}`,
      label: text.keys.goTo(label),
      icon,
      run: () => void navigate({ to }),
    })),
    { id: 'keys', label: text.keys.help, hint: '?', icon: Keyboard, run: onShowKeys },
    ...flowCommands(flows, navigate, (flow) => turned.mutate(flow)),
    ...eventTypeCommands(events, navigate),
  ];
  const found = searchCommands(query, navigate);
  const shown = [...matching(commands, query).slice(0, SHOWN - found.length), ...found];
  return (
    <ModalOverlay className="overlay" isOpen isDismissable onOpenChange={(open) => !open && onClose()}>
      <Modal className="modal palette">
        <Dialog className="dialog" aria-label={text.navigation.commands}>
          <Autocomplete inputValue={query} onInputChange={setQuery}>
            <SearchField aria-label={text.navigation.commands} className="palette-search" autoFocus>
              <Search size={16} strokeWidth={1.8} aria-hidden />
              <Input placeholder={text.palette.placeholder} />
            </SearchField>
            <Menu
              className="menu palette-menu"
              aria-label={text.navigation.commands}
              renderEmptyState={() => <p className="palette-empty muted">{text.palette.nothing}</p>}
              onAction={(key) => {
                onClose();
                shown.find((command) => command.id === key)?.run();
              }}
            >
              {shown.map(({ id, label, hint, icon: Icon }) => (
                <MenuItem key={id} id={id} textValue={label} className="menu-item">
                  <Icon size={16} strokeWidth={1.6} aria-hidden />
                  <UserText className="grow truncate">{label}</UserText>
                  {hint !== undefined && <span className="muted palette-hint">{hint}</span>}
                </MenuItem>
              ))}
            </Menu>
          </Autocomplete>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

/** Commands that have each word of the query, those whose label starts with it first. */
export function matching(commands: readonly Command[], query: string): Command[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const start = words[0] ?? '';
  return commands
    .filter((command) => {
      if (command.isAction === true && words.length === 0) return false;
      const content = `${command.label} ${command.hint ?? ''} ${command.words ?? ''}`.toLowerCase();
      return words.every((word) => content.includes(word));
    })
    .sort((a, b) => Number(b.label.toLowerCase().startsWith(start)) - Number(a.label.toLowerCase().startsWith(start)));
}
