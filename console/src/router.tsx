/** The routes. Every view, with its filters and its selection, is an address. */

import { createRootRoute, createRoute, createRouter, Link, redirect } from '@tanstack/react-router';

import { Empty } from './components/states';
import { FlowsScreen, readFlowsSearch } from './screens/flows/FlowsScreen';
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

export const router = createRouter({
    routeTree: root.addChildren([index, flows]),
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
