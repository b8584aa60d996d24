import { Info, type LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';

import type { Tone } from './decisions';

/** A remark in a box. */
export function Note({
  tone = 'plain',
  icon: Icon = Info,
  children,
}: {
  tone?: Tone;
  icon?: LucideIcon;
  children: ReactNode;
}) {
  return (
    <div className={`note ${tone}`}>
      <Icon size={16} strokeWidth={1.6} aria-hidden />
      <div className="grow">{children}</div>
    </div>
  );
}
