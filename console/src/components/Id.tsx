import { Copy } from 'lucide-react';

import { text } from '../text';
import { copy } from './copying';

/** An id, monospaced, with a button that copies it. The button appears on hover and on focus. */
export function Id({ children }: { children: string }) {
  return (
    <span className="id-text">
      <code>{children}</code>
      <button
        type="button"
        className="copy"
        aria-label={text.action.copyId(children)}
        title={text.action.copy}
        onClick={() => copy(children)}
      >
        <Copy size={12} strokeWidth={1.8} aria-hidden />
      </button>
    </span>
  );
}
