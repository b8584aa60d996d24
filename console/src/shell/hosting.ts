/** What the host of the page says about itself, in `console.json` beside `index.html`, and the session with it. */

export interface Hosting {
  /** The portal to open when this browser has opened none before. */
  portalId: string | null;
  /** Whether the user chose `portalId` at the start, so that it takes precedence over the last portal. */
  isPortalChosen: boolean;
  /** Whether the host forwards only requests that change nothing. */
  isReadOnly: boolean;
  /** False if the host refuses this browser, because it has no cookie of the present start of `enroll console`. */
  hasSession: boolean;
}

const UNKNOWN: Hosting = { portalId: null, isPortalChosen: false, isReadOnly: false, hasSession: true };

const START_TOKEN = /^#token=([\w-]+)$/;

let isReadOnly = false;

/** Whether the host forwards only requests that change nothing. */
export const isHostReadOnly = (): boolean => isReadOnly;

/**
 * Exchange the token that `enroll console` puts into the address for a cookie. The token leaves the address and the
 * history first. A token that the host refuses changes nothing: `console.json` then says that there is no session.
 */
export async function openSession(): Promise<void> {
  const { hash, pathname, search } = globalThis.location;
  const token = START_TOKEN.exec(hash)?.[1];
  if (token === undefined) return;
  globalThis.history.replaceState(null, '', pathname + search);
  try {
    await fetch(`${import.meta.env.BASE_URL}session`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ token }),
    });
  } catch {
    // The host does not answer. The first screen says so.
  }
}

/** Read `console.json`. A host without it, or with another content, says nothing. */
export async function readHosting(): Promise<Hosting> {
  try {
    const response = await fetch(`${import.meta.env.BASE_URL}console.json`);
    if (response.status === 403) return { ...UNKNOWN, hasSession: false };
    const content: unknown = response.ok ? await response.json() : null;
    const values: Record<string, unknown> = typeof content === 'object' && content !== null ? { ...content } : {};
    isReadOnly = values.isReadOnly === true;
    return {
      portalId: typeof values.portalId === 'string' ? values.portalId : null,
      isPortalChosen: values.isPortalChosen === true,
      isReadOnly,
      hasSession: true,
    };
  } catch {
    return UNKNOWN;
  }
}
