/** Decisions in words and looks: one table for all screens. */

import { Ban, Check, Clock, Copy, Flag, ListFilter, type LucideIcon, Minus, Repeat } from 'lucide-react';

import type { Schemas } from '../api/client';
import { text } from '../text';

export type DecisionCode = NonNullable<Schemas['Account']['code']>;

/** The colours of statuses (styles/tokens.css). */
export type Tone = 'good' | 'warn' | 'bad' | 'info' | 'plain';

interface DecisionLook {
  words: string;
  tone: Tone;
  /** Null: words without an icon. */
  icon: LucideIcon | null;
}

const LOOKS: Readonly<Record<DecisionCode, readonly [Tone, LucideIcon]>> = {
  ENROLLED: ['good', Check],
  FILTERED_OUT: ['warn', ListFilter],
  LOOP_STOPPED: ['warn', Repeat],
  WAITING: ['info', Clock],
  ALREADY_ENROLLED: ['plain', Check],
  MET_BEFORE: ['plain', Clock],
  NOT_MATCHED: ['plain', Minus],
  NOT_ELIGIBLE: ['plain', Ban],
  BEFORE_ACTIVATION: ['plain', Clock],
  SUPPRESSED: ['warn', Ban],
  GOAL_MET: ['warn', Flag],
  UNKNOWN_RECORD: ['plain', Ban],
  DUPLICATE_EVENT: ['plain', Copy],
};

export const DECISIONS = Object.fromEntries(
  Object.entries(LOOKS).map(([code, [tone, icon]]) => [
    code,
    { words: text.decision[code as DecisionCode], tone, icon },
  ]),
) as Readonly<Record<DecisionCode, DecisionLook>>;

const NO_DECISION: DecisionLook = { words: text.decision.none, tone: 'plain', icon: null };

/** Return the look of a decision. `code` is null if the event was not decided for the flow. */
export const lookOf = (code: DecisionCode | null): DecisionLook => (code === null ? NO_DECISION : DECISIONS[code]);
