import { CircleAlert } from 'lucide-react';
import { useEffect } from 'react';

import { text } from '../text';

/** Shown instead of the frame if `enroll console` does not know this browser. */
export function NoSession() {
  // The browser does not load the page again if the address with the token is entered in this tab.
  useEffect(() => {
    const reload = () => globalThis.location.reload();
    globalThis.addEventListener('hashchange', reload);
    return () => globalThis.removeEventListener('hashchange', reload);
  }, []);
  return (
    <main className="choose-portal">
      <div className="state" role="alert">
        <CircleAlert size={24} strokeWidth={1.5} aria-hidden className="bad-mark" />
        <h1>{text.state.noSession}</h1>
        <p>{text.state.noSessionExplanation}</p>
      </div>
    </main>
  );
}
