import { Copy } from 'lucide-react';

import { text } from '../text';
import { IconButton } from './Button';
import { copy } from './copying';

/** JSON or a command, with a button that copies it. */
export function CodeBlock({ label, children }: { label: string; children: string }) {
  return (
    <div className="code-block">
      <pre tabIndex={0} role="region" aria-label={label}>
        <code>{children}</code>
      </pre>
      <IconButton icon={Copy} label={text.action.copy} onPress={() => copy(children)} />
    </div>
  );
}
