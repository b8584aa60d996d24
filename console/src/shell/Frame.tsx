import { useQueryClient } from '@tanstack/react-query';
import { Outlet, useNavigate } from '@tanstack/react-router';
import { lazy, Suspense, useEffect, useMemo, useState } from 'react';

import { Toasts } from '../components/Toasts';
import { text } from '../text';
import { KeyHelp } from './KeyHelp';
import { listenToKeys, useKeys } from './keys';
import { Navigation, TabBar } from './Navigation';
import { openPortal, usePortalId } from './portal';
import { PAGES } from './pages';
import { PortalForm } from './PortalForm';

const Palette = lazy(() => import('./Palette'));

/** The frame of all screens: navigation, keys, command palette and messages. */
export function Frame() {
  const portalId = usePortalId();
  const navigate = useNavigate();
  const [isPaletteOpen, setPaletteOpen] = useState(false);
  const [areKeysOpen, setKeysOpen] = useState(false);

  useEffect(() => listenToKeys(), []);
  const bindings = useMemo(
    () => [
      { keys: 'mod+k', label: text.keys.palette, run: () => setPaletteOpen(true) },
      { keys: '?', label: text.keys.help, run: () => setKeysOpen(true) },
      ...PAGES.flatMap(({ keys, label, to }) =>
        keys === undefined ? [] : [{ keys, label: text.keys.goTo(label), run: () => void navigate({ to }) }],
      ),
    ],
    [navigate],
  );
  useKeys(text.keys.everywhere, bindings);

  if (portalId === '') return <ChoosePortal />;
  return (
    <div className="app">
      <a className="skip" href="#main">
        {text.navigation.skip}
      </a>
      <Navigation onOpenPalette={() => setPaletteOpen(true)} />
      {/* The key mounts the screen again when another portal is opened, so that nothing of the first one stays. */}
      <main className="main" id="main" key={portalId}>
        <Outlet />
      </main>
      <TabBar onOpenPalette={() => setPaletteOpen(true)} />
      <KeyHelp isOpen={areKeysOpen} onClose={() => setKeysOpen(false)} />
      {isPaletteOpen && (
        <Suspense fallback={null}>
          <Palette onClose={() => setPaletteOpen(false)} onShowKeys={() => setKeysOpen(true)} />
        </Suspense>
      )}
      <Toasts />
    </div>
  );
}

/** Shown instead of a screen if no portal was opened yet and the host names none. */
function ChoosePortal() {
  const client = useQueryClient();
  return (
    <main className="choose-portal">
      <h1>{text.portal.which}</h1>
      <PortalForm onOpen={(id) => openPortal(id, client)} />
    </main>
  );
}
