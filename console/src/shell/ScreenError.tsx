import { CircleAlert } from 'lucide-react';

import { Button } from '../components/Button';
import { text } from '../text';

/** Shown instead of a screen that threw an error, which is a defect of the console. */
export function ScreenError({ error }: { error: unknown }) {
  return (
    <div className="state" role="alert">
      <CircleAlert size={24} strokeWidth={1.5} aria-hidden className="bad-mark" />
      <h1>{text.state.crashed}</h1>
      <p>{text.state.crashedExplanation}</p>
      <code>{error instanceof Error ? error.message : String(error)}</code>
      <Button onPress={() => globalThis.location.reload()}>{text.state.reload}</Button>
    </div>
  );
}
