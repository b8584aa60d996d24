import type { ReactElement } from 'react';
import { Tooltip as AriaTooltip, TooltipTrigger } from 'react-aria-components/Tooltip';

interface TooltipProps {
  /** Undefined: no tooltip. */
  text: string | undefined;
  /** One element that takes the focus. */
  children: ReactElement;
}

/** Text that appears while the pointer or the focus is on `children`. */
export function Tooltip({ text, children }: TooltipProps) {
  if (text === undefined) return children;
  return (
    <TooltipTrigger delay={500} closeDelay={100}>
      {children}
      <AriaTooltip className="tooltip" offset={6}>
        {text}
      </AriaTooltip>
    </TooltipTrigger>
  );
}
