import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { preferences } from '../src/shell/preferences';
import { isHostReadOnly, openSession, readHosting } from '../src/shell/hosting';
import { openFirstPortal } from '../src/shell/portal';

interface Sent {
  url: string;
  options: RequestInit | undefined;
}

let sent: Sent[] = [];

function answering(status: number, content: unknown): void {
  vi.stubGlobal('fetch', (url: string, options?: RequestInit) => {
    sent.push({ url, options });
    return Promise.resolve(new Response(status === 204 ? null : JSON.stringify(content), { status }));
  });
}

beforeEach(() => {
  sent = [];
  localStorage.clear();
  history.replaceState(null, '', '/');
});

afterEach(async () => {
  answering(200, {});
  await readHosting();
  vi.unstubAllGlobals();
});

test('the start token is exchanged in a body, and removed from the address', async () => {
  answering(204, null);
  history.replaceState(null, '', '/console/flows?q=a#token=aB-3_x');
  await openSession();
  expect(location.href).toBe(`${location.origin}/console/flows?q=a`);
  expect(sent).toHaveLength(1);
  expect(sent[0]?.url).toMatch(/session$/);
  expect(sent[0]?.options).toMatchObject({ method: 'POST', body: '{"token":"aB-3_x"}' });
});

test('the token leaves the address before it is sent, also if the host does not answer', async () => {
  vi.stubGlobal('fetch', () => {
    expect(location.hash).toBe('');
    return Promise.reject(new TypeError('Failed to fetch'));
  });
  history.replaceState(null, '', '/#token=abc');
  await openSession();
  expect(location.hash).toBe('');
});

test.each(['', '#main', '#token=', '#token=a b', '#x=1&token=abc'])(
  'nothing is sent for the address %s',
  async (hash) => {
    answering(204, null);
    history.replaceState(null, '', `/${hash}`);
    await openSession();
    expect(sent).toEqual([]);
  },
);

test('a host that refuses the browser has no session', async () => {
  answering(403, { category: 'NO_SESSION' });
  expect(await readHosting()).toMatchObject({ hasSession: false });
});

test.each([
  [200, { portalId: 'demo' }],
  [404, null],
  [503, 'text'],
])('the local run, and a host without console.json (%s), need no session', async (status, content) => {
  answering(status, content);
  expect(await readHosting()).toMatchObject({ hasSession: true, isReadOnly: false, isPortalChosen: false });
});

test('a host that only reads says so', async () => {
  answering(200, { portalId: null, isReadOnly: true });
  expect(await readHosting()).toMatchObject({ portalId: null, isReadOnly: true });
  expect(isHostReadOnly()).toBe(true);
});

const hosting = { portalId: 'chosen', isPortalChosen: false, isReadOnly: false, hasSession: true };

test('the portal of --portal precedes the portal that was open last, and a proposed one does not', () => {
  openFirstPortal({ ...hosting, portalId: 'last' });
  openFirstPortal(hosting);
  expect(preferences().portals[0]).toBe('last');
  openFirstPortal({ ...hosting, isPortalChosen: true });
  expect(preferences().portals[0]).toBe('chosen');
});
