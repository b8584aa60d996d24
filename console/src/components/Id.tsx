import { Copy } from 'lucide-react';

import { text } from '../text';
import { copy } from './copying';
import { visibleControls } from './user-text';
import { UserText } from './UserText';

/** An ID, monospaced, with a button that copies it. The button appears on hover and on focus. */
export function Id({ children }: { children: string }) {
  return (
    <span className="id-text">
      <code>
        <UserText>{children}</UserText>
      </code>
      <button
        type="button"
        className="copy"
        aria-label={text.action.copyId(visibleControls(children))}
        title={text.action.copy}
        onClick={() => copy(children)}
      >
        <Copy size={12} strokeWidth={1.8} aria-hidden />
      </button>
    </span>
  );
}
