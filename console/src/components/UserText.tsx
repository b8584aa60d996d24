import type { HTMLAttributes } from 'react';

import { visibleControls } from './user-text';

interface UserTextProps extends HTMLAttributes<HTMLElement> {
  children: string | null | undefined;
}

/**
 * Text that somebody typed or a source sent. It cannot change the direction of the text around it, and its controls are
 * visible. All such text is shown by this component.
 */
export function UserText({ children, title, ...props }: UserTextProps) {
  return (
    <bdi {...props} title={title === undefined ? undefined : visibleControls(title)}>
      {visibleControls(children ?? '')}
    </bdi>
  );
}
