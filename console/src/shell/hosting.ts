/** What the host of the page says about itself, in `console.json` beside `index.html`. */

export interface Hosting {
  /** The portal to open when this browser has opened none before. */
  portalId: string | null;
}

const UNKNOWN: Hosting = { portalId: null };

/** Read `console.json`. A host without it, or with another content, says nothing. */
export async function readHosting(): Promise<Hosting> {
  try {
    const response = await fetch(`${import.meta.env.BASE_URL}console.json`);
    const content: unknown = response.ok ? await response.json() : null;
    const portalId = typeof content === 'object' && content !== null && 'portalId' in content ? content.portalId : null;
    return { portalId: typeof portalId === 'string' ? portalId : null };
  } catch {
    return UNKNOWN;
  }
}
