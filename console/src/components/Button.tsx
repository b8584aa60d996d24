import type { LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';
import { Button as AriaButton, type ButtonProps as AriaButtonProps } from 'react-aria-components/Button';

import { Tooltip } from './Tooltip';

interface ButtonProps extends Omit<AriaButtonProps, 'className' | 'style' | 'children'> {
  children: ReactNode;
  icon?: LucideIcon;
  /** `primary`: the main action of the screen. `quiet`: without an edge. `danger`: it deletes something. */
  look?: 'plain' | 'primary' | 'quiet' | 'danger';
  isSmall?: boolean;
  /** On a small screen, only the icon is visible. */
  isCompact?: boolean;
}

export function Button({
  children,
  icon: Icon,
  look = 'plain',
  isSmall = false,
  isCompact = false,
  ...props
}: ButtonProps) {
  return (
    <AriaButton {...props} className={['btn', look === 'plain' ? '' : look, isSmall ? 'small' : ''].join(' ')}>
      {Icon !== undefined && <Icon size={14} strokeWidth={1.8} aria-hidden />}
      {isCompact ? <span className="compact">{children}</span> : children}
    </AriaButton>
  );
}

interface IconButtonProps extends Omit<AriaButtonProps, 'className' | 'style' | 'children'> {
  icon: LucideIcon;
  /** What the button does: its name, and its tooltip. */
  label: string;
  isSmall?: boolean;
}

export function IconButton({ icon: Icon, label, isSmall = true, ...props }: IconButtonProps) {
  return (
    <Tooltip text={label}>
      <AriaButton {...props} aria-label={label} className={`btn quiet icon ${isSmall ? 'small' : ''}`}>
        <Icon size={16} strokeWidth={1.8} aria-hidden />
      </AriaButton>
    </Tooltip>
  );
}
