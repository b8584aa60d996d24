/**
 * All text that the console shows. No other module has words for people, except that answers of the API are shown as
 * they are: sentences, reasons, warnings and messages.
 */

const LOCALE = 'en';

const number = new Intl.NumberFormat(LOCALE);
const plurals = new Intl.PluralRules(LOCALE);

/** `1,284`. */
export const formatNumber = (value: number): string => number.format(value);

/** `1 flow`, `2 flows`. `one` and `other` are the nouns. */
export const count = (value: number, one: string, other: string): string =>
    `${number.format(value)} ${plurals.select(value) === 'one' ? one : other}`;

/** `12 s ago`, `4 min ago`. */
export const formatAge = (seconds: number): string =>
  seconds < 60 ? `${number.format(seconds)} s ago` : `${number.format(Math.floor(seconds / 60))} min ago`;

export const locale = LOCALE;

export const text = {
    product: 'Enroll',
    pageTitle: (page: string) => `${page} · Enroll`,

    navigation: {
        label: 'Console',
        flows: 'Flows',
        catalog: 'Catalog',
        settings: 'Settings',
        more: 'More',
        skip: 'Skip to the content',
        localRun: 'Local run',
        commands: 'Search',
    },

    portal: {
        change: 'Change the portal',
        which: 'Which portal?',
        explanation: 'A portal is a customer account. Its id is in every event, as portalId.',
        id: 'Id of the portal',
        recent: 'Recent portals',
        open: 'Open the portal',
        fixed: 'Your token belongs to this portal.',
    },

    state: {
        loading: 'Loading',
        retry: 'Try again',
        errorTitle: 'This could not be loaded',
        correlationId: 'Correlation id',
        network: 'The API did not answer. Check that it runs and that you are connected.',
        forbidden: (call: string) => `Your AWS policy does not allow ${call}.`,
        missingScope: (scope: string) => `Your token lacks the scope ${scope}.`,
        signedOut: 'Your credentials have expired. Sign in again, then continue.',
        notFound: (portal: string) => `Not in the portal ${portal}`,
        notFoundExplanation: 'It does not exist, or it belongs to another portal.',
        noPage: 'There is no such page',
        noPageExplanation: 'The address may be from another version of the console.',
        toFlows: 'Show the flows',
        stale: (age: string) => `Shown as of ${age}. The newest data could not be loaded.`,
        conflict: 'It was changed meanwhile. The page now shows the newest state.',
        tooLarge: 'The request is larger than the API takes.',
        throttled: 'The API limits requests at present. The page waits and tries again.',
        unexpected: (status: number) => `The API answered with status ${status}.`,
        readMore: (amount: number) => `Read ${number.format(amount)} more`,
        crashed: 'The page failed',
        crashedExplanation: 'Reload it. If it fails again, report the message below.',
        reload: 'Reload',
    },

    action: {
        copy: 'Copy',
        copied: 'Copied',
        copyFailed: 'The browser did not allow to copy.',
        copyId: (id: string) => `Copy ${id}`,
        close: 'Close',
        cancel: 'Cancel',
        more: (name: string) => `More for ${name}`,
        clear: 'Clear',
        clearFilter: (filter: string) => `Remove the filter ${filter}`,
        save: 'Save',
        discard: 'Discard the changes',
        search: 'Search',
    },

    time: {
        copyUtc: (iso: string) => `${iso}. Click to copy.`,
    },

    decision: {
        ENROLLED: 'Enrolled',
        FILTERED_OUT: 'Filtered out',
        LOOP_STOPPED: 'Loop stopped',
        WAITING: 'Waiting',
        ALREADY_ENROLLED: 'Already enrolled',
        MET_BEFORE: 'Criteria met before',
        NOT_MATCHED: 'Not matched',
        NOT_ELIGIBLE: 'Not eligible',
        BEFORE_ACTIVATION: 'Before it was on',
        SUPPRESSED: 'Suppressed',
        GOAL_MET: 'Goal met',
        UNKNOWN_RECORD: 'Unknown record',
        DUPLICATE_EVENT: 'Delivered again',
        none: 'No decision',
        enrolledDue: (time: string) => `Enrolled, message due ${time}`,
        waitingUntil: (time: string) => `Waiting until ${time}`,
        code: (code: string) => `Decision ${code}`,
    },

    objectType: {
        '0-1': 'contact',
        '0-2': 'company',
        '0-3': 'deal',
        '0-5': 'ticket',
    } as Readonly<Record<string, string>>,

    flows: {
        title: 'Flows',
        summary: (all: number, on: number) =>
            `${number.format(all)}, of which ${number.format(on)} ${on === 1 ? 'is' : 'are'} on`,
        search: 'Search flows',
        searchHint: 'Search name, event, property',
        status: 'Status',
        all: 'All',
        on: 'On',
        off: 'Off',
        column: { on: 'On', flow: 'Flow', day: '24 h', week: '7 days', last: 'Last decision', actions: 'Actions' },
        toggle: (name: string) => `${name}: on`,
        unnamed: (id: string) => `Flow ${id}`,
        empty: 'No flows yet. A flow says which events enroll which records.',
        noMatch: 'No flow matches the search and the filters.',
        showAll: 'Show all flows',
    },

    palette: {
        placeholder: 'Search flows, records and events, or type a command',
        nothing: 'Nothing matches.',
        flow: (id: string) => `Flow ${id}`,
    },

    keys: {
        title: 'Keys',
        everywhere: 'Everywhere',
        list: 'In a list',
        help: 'List the keys',
        palette: 'Open the search and commands',
        filter: 'Go to the search field',
        next: 'Next row',
        previous: 'Previous row',
        open: 'Open the row',
        close: 'Close the panel, then the selection',
        goTo: (page: string) => `Go to ${page}`,
        off: 'Keys of a single letter are turned off in Settings.',
        then: 'then',
    },
} as const;
