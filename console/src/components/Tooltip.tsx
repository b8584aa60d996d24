import type { ReactElement } from 'react';
import { Focusable } from 'react-aria-components';
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

/** The same for an element of HTML, which react-aria does not know, for example a button with `role="switch"`. */
export function HtmlTooltip({ text, children }: { text: string | undefined; children: ReactElement<object, string> }) {
  if (text === undefined) return children;
  return (
    <Tooltip text={text}>
      <Focusable>{children}</Focusable>
    </Tooltip>
  );
}
