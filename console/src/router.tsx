/** The routes. Every view, with its filters and its selection, is an address. */

import { createRootRoute, createRoute, createRouter, Link, redirect } from '@tanstack/react-router';

import { Empty } from './components/states';
import { EventScreen, readEventSearch } from './screens/event/EventScreen';
import { FlowsScreen, readFlowsSearch } from './screens/flows/FlowsScreen';
import { LiveScreen, readLiveSearch } from './screens/live/LiveScreen';
import { readRecordViewSearch, RecordScreen } from './screens/records/RecordScreen';
import { readRecordsSearch, RecordsScreen } from './screens/records/RecordsScreen';
import { readWhySearch, WhyScreen } from './screens/why/WhyScreen';
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

const live = createRoute({
    getParentRoute: () => root,
    path: '/live',
    validateSearch: readLiveSearch,
    component: LiveScreen,
});

const records = createRoute({
    getParentRoute: () => root,
    path: '/records',
    validateSearch: readRecordsSearch,
    component: RecordsScreen,
});

const record = createRoute({
    getParentRoute: () => root,
    path: '/records/$objectType/$objectId',
    validateSearch: readRecordViewSearch,
    component: RecordScreen,
});

// The id of an event may contain slashes, so it is the rest of the path.
const event = createRoute({
    getParentRoute: () => root,
    path: '/events/$',
    validateSearch: readEventSearch,
    component: EventScreen,
});

const why = createRoute({
    getParentRoute: () => root,
    path: '/why',
    validateSearch: readWhySearch,
    component: WhyScreen,
});

export const router = createRouter({
    routeTree: root.addChildren([index, flows, live, records, record, event, why]),
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
