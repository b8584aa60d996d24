import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { I18nProvider } from 'react-aria-components';

import { newQueryClient } from './api/query-client';
import { router } from './router';
import { openSession, readHosting } from './shell/hosting';
import { NoSession } from './shell/NoSession';
import { openFirstPortal } from './shell/portal';
import { preferences } from './shell/preferences';
import { applyTheme } from './shell/theme';
import { locale } from './text';
import './styles/index.css';

applyTheme(preferences().theme);
await openSession();
const hosting = await readHosting();
openFirstPortal(hosting);

const container = document.getElementById('root');
if (container === null) throw new Error('index.html has no element with the id "root".');
createRoot(container).render(
  <StrictMode>
    <I18nProvider locale={locale}>
      <QueryClientProvider client={newQueryClient()}>
        {hosting.hasSession ? <RouterProvider router={router} /> : <NoSession />}
      </QueryClientProvider>
    </I18nProvider>
  </StrictMode>,
);
