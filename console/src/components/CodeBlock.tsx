import { Copy } from 'lucide-react';

import { text } from '../text';
import { IconButton } from './Button';
import { copy } from './copying';
import { visibleControls } from './user-text';

/** JSON or a command, with a button that copies it. The escapes of its controls are those of JSON. */
export function CodeBlock({ label, children }: { label: string; children: string }) {
  const shown = visibleControls(children);
  return (
    <div className="code-block">
      <pre tabIndex={0} role="region" aria-label={label}>
        <code>{shown}</code>
      </pre>
      <IconButton icon={Copy} label={text.action.copy} onPress={() => copy(shown)} />
    </div>
  );
}
