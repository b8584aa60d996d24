import { Link, useNavigate } from '@tanstack/react-router';
import { useQuery } from '@tanstack/react-query';
import { Command, Ellipsis } from 'lucide-react';
import { Button } from 'react-aria-components/Button';

import { portalQuery } from '../api/queries';
import { Menu } from '../components/Menu';
import { text } from '../text';
import { IS_MAC } from './keys';
import { type Page, PAGES, PAGES_IN_BAR } from './pages';
import { PortalSwitch } from './PortalSwitch';

interface NavigationProps {
  onOpenPalette: () => void;
}

/** The navigation at the left, which a small screen does not show. */
export function Navigation({ onOpenPalette }: NavigationProps) {
  const caller = useQuery(portalQuery()).data?.caller;
  return (
    <nav className="side" aria-label={text.navigation.label}>
      <PortalSwitch />
      <button type="button" className="nav palette-opener" onClick={onOpenPalette}>
        <Command size={16} strokeWidth={1.6} aria-hidden />
        <span className="grow">{text.navigation.commands}</span>
        <kbd className="kbd">{paletteKeys()}</kbd>
      </button>
      <PageLinks group="work" />
      {PAGES.some((page) => page.group === 'care') && <hr />}
      <PageLinks group="care" />
      <div className="gap" />
      <PageLinks group="about" />
      {caller !== undefined && (
        <div className="who">
          <span className="dot good" aria-hidden="true" />
          <span className="truncate" title={caller}>
            {shortCaller(caller)}
          </span>
        </div>
      )}
    </nav>
  );
}

function PageLinks({ group }: { group: Page['group'] }) {
  return PAGES.filter((page) => page.group === group).map(({ to, label, icon: Icon }) => (
    <Link key={to} to={to} className="nav" activeProps={{ 'aria-current': 'page' }}>
      <Icon size={16} strokeWidth={1.6} aria-hidden />
      <span>{label}</span>
    </Link>
  ));
}

/** The bar at the bottom of a small screen. */
export function TabBar({ onOpenPalette }: NavigationProps) {
  const navigate = useNavigate();
  const more = PAGES.slice(PAGES_IN_BAR);
  return (
    <nav className="tabbar" aria-label={text.navigation.label}>
      {PAGES.slice(0, PAGES_IN_BAR).map(({ to, label, icon: Icon }) => (
        <Link key={to} to={to} activeProps={{ 'aria-current': 'page' }}>
          <Icon size={20} strokeWidth={1.6} aria-hidden />
          {label}
        </Link>
      ))}
      <Menu
        label={text.navigation.more}
        actions={[
          ...more.map(({ to, label, icon }) => ({ id: to, label, icon, run: () => void navigate({ to }) })),
          { id: 'palette', label: text.navigation.commands, icon: Command, run: onOpenPalette },
        ]}
      >
        <Button className="more">
          <Ellipsis size={20} strokeWidth={1.6} aria-hidden />
          {text.navigation.more}
        </Button>
      </Menu>
    </nav>
  );
}

/** `user/local` for `arn:aws:iam::000000000000:user/local`. */
const shortCaller = (caller: string): string => caller.split(':').at(-1) ?? caller;

const paletteKeys = (): string => (IS_MAC ? '⌘K' : 'Ctrl K');
