import type { LucideIcon } from 'lucide-react';

import { text } from '../text';
import { type DecisionCode, lookOf, type Tone } from './decisions';

interface PillProps {
  tone: Tone;
  icon: LucideIcon | null;
  children: string;
  title?: string | undefined;
}

/** A status: always words, with an icon before them. */
export function Pill({ tone, icon: Icon, children, title }: PillProps) {
  return (
    <span className={`pill ${tone}`} title={title}>
      {Icon !== null && <Icon size={13} strokeWidth={2} aria-hidden />}
      {children}
    </span>
  );
}

interface DecisionPillProps {
  code: DecisionCode | null;
  /** Words with a time, for example "Waiting until 18:47"; the words of the code without them. */
  words?: string;
}

/** A decision. The API's code is in the tooltip. */
export function DecisionPill({ code, words }: DecisionPillProps) {
  const look = lookOf(code);
  return (
    <Pill tone={look.tone} icon={look.icon} title={code === null ? undefined : text.decision.code(code)}>
      {words ?? look.words}
    </Pill>
  );
}
