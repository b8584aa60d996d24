import { CircleAlert } from 'lucide-react';

import { text } from '../text';

/** Shown instead of the frame if `enroll console` does not know this browser. */
export function NoSession() {
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
