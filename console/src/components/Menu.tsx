import type { LucideIcon } from 'lucide-react';
import type { ReactElement } from 'react';
import { Menu as AriaMenu, MenuItem, MenuTrigger, Popover } from 'react-aria-components/Menu';

import { UserText } from './UserText';

export interface MenuAction {
  id: string;
  label: string;
  icon?: LucideIcon;
  isDanger?: boolean;
  isDisabled?: boolean;
  run: () => void;
}

interface MenuProps {
  label: string;
  actions: readonly MenuAction[];
  /** The button that opens the menu. */
  children: ReactElement;
}

export function Menu({ label, actions, children }: MenuProps) {
  return (
    <MenuTrigger>
      {children}
      <Popover className="popover" placement="bottom end">
        <AriaMenu
          className="menu"
          aria-label={label}
          disabledKeys={actions.filter((action) => action.isDisabled).map((action) => action.id)}
          onAction={(key) => actions.find((action) => action.id === key)?.run()}
        >
          {actions.map(({ id, label: words, icon: Icon, isDanger }) => (
            <MenuItem key={id} id={id} textValue={words} className={`menu-item ${isDanger === true ? 'danger' : ''}`}>
              {Icon !== undefined && <Icon size={14} strokeWidth={1.8} aria-hidden />}
              <UserText>{words}</UserText>
            </MenuItem>
          ))}
        </AriaMenu>
      </Popover>
    </MenuTrigger>
  );
}
