/** The routes. Every view, with its filters and its selection, is an address. */

import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Link, redirect } from '@tanstack/react-router';

import { Empty } from './components/states';
import { readCatalogSearch } from './screens/catalog/search';
import { readEventSearch } from './screens/event/addresses';
import { readFlowsSearch } from './screens/flows/filters';
import { FlowsScreen } from './screens/flows/FlowsScreen';
import { readFlowSearch } from './screens/flows/tabs';
import { readLiveSearch } from './screens/live/addresses';
import { readRecordsSearch, readRecordViewSearch } from './screens/records/addresses';
import { readWhySearch } from './screens/why/addresses';
import { Frame } from './shell/Frame';
import { ScreenError } from './shell/ScreenError';
import { text } from './text';

const root = createRootRoute({
  component: Frame,
  notFoundComponent: NoPage,
});

const index = createRoute({
  getParentRoute: () => root,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/flows', replace: true });
  },
});

const flows = createRoute({
  getParentRoute: () => root,
  path: '/flows',
  validateSearch: readFlowsSearch,
  component: FlowsScreen,
});

const flow = createRoute({
  getParentRoute: () => root,
  path: '/flows/$flowId',
  validateSearch: readFlowSearch,
  component: lazyRouteComponent(() => import('./screens/flows/FlowScreen')),
});

const newFlow = createRoute({
  getParentRoute: () => root,
  path: '/flows/new',
  validateSearch: readFlowSearch,
  component: lazyRouteComponent(() => import('./screens/editor/NewFlowScreen')),
});

const catalog = createRoute({
  getParentRoute: () => root,
  path: '/catalog',
  validateSearch: readCatalogSearch,
  component: lazyRouteComponent(() => import('./screens/catalog/CatalogScreen')),
});

const eventType = createRoute({
  getParentRoute: () => root,
  path: '/catalog/$eventType',
  validateSearch: readCatalogSearch,
  component: lazyRouteComponent(() => import('./screens/catalog/CatalogScreen')),
});

const settings = createRoute({
  getParentRoute: () => root,
  path: '/settings',
  component: lazyRouteComponent(() => import('./screens/settings/SettingsScreen')),
});

const live = createRoute({
  getParentRoute: () => root,
  path: '/live',
  validateSearch: readLiveSearch,
  component: lazyRouteComponent(() => import('./screens/live/LiveScreen'), 'LiveScreen'),
});

const records = createRoute({
  getParentRoute: () => root,
  path: '/records',
  validateSearch: readRecordsSearch,
  component: lazyRouteComponent(() => import('./screens/records/RecordsScreen'), 'RecordsScreen'),
});

const record = createRoute({
  getParentRoute: () => root,
  path: '/records/$objectType/$objectId',
  validateSearch: readRecordViewSearch,
  component: lazyRouteComponent(() => import('./screens/records/RecordScreen'), 'RecordScreen'),
});

// The id of an event may contain slashes, so it is the rest of the path.
const event = createRoute({
  getParentRoute: () => root,
  path: '/events/$',
  validateSearch: readEventSearch,
  component: lazyRouteComponent(() => import('./screens/event/EventScreen'), 'EventScreen'),
});

const why = createRoute({
  getParentRoute: () => root,
  path: '/why',
  validateSearch: readWhySearch,
  component: lazyRouteComponent(() => import('./screens/why/WhyScreen'), 'WhyScreen'),
});

export const router = createRouter({
  routeTree: root.addChildren([
    index,
    live,
    records,
    record,
    event,
    why,
    flows,
    newFlow,
    flow,
    catalog,
    eventType,
    settings,
  ]),
  basepath: import.meta.env.BASE_URL,
  defaultErrorComponent: ScreenError,
  defaultPreload: 'intent',
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}

function NoPage() {
  return (
    <Empty action={<Link to="/flows">{text.state.toFlows}</Link>}>
      {text.state.noPage}. {text.state.noPageExplanation}
    </Empty>
  );
}
