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

export const DECISIONS: Readonly<Record<DecisionCode, DecisionLook>> = {
  ENROLLED: { words: text.decision.ENROLLED, tone: 'good', icon: Check },
  FILTERED_OUT: { words: text.decision.FILTERED_OUT, tone: 'warn', icon: ListFilter },
  LOOP_STOPPED: { words: text.decision.LOOP_STOPPED, tone: 'warn', icon: Repeat },
  WAITING: { words: text.decision.WAITING, tone: 'info', icon: Clock },
  ALREADY_ENROLLED: { words: text.decision.ALREADY_ENROLLED, tone: 'plain', icon: Check },
  MET_BEFORE: { words: text.decision.MET_BEFORE, tone: 'plain', icon: Clock },
  NOT_MATCHED: { words: text.decision.NOT_MATCHED, tone: 'plain', icon: Minus },
  NOT_ELIGIBLE: { words: text.decision.NOT_ELIGIBLE, tone: 'plain', icon: Ban },
  BEFORE_ACTIVATION: { words: text.decision.BEFORE_ACTIVATION, tone: 'plain', icon: Clock },
  SUPPRESSED: { words: text.decision.SUPPRESSED, tone: 'warn', icon: Ban },
  GOAL_MET: { words: text.decision.GOAL_MET, tone: 'warn', icon: Flag },
  UNKNOWN_RECORD: { words: text.decision.UNKNOWN_RECORD, tone: 'plain', icon: Ban },
  DUPLICATE_EVENT: { words: text.decision.DUPLICATE_EVENT, tone: 'plain', icon: Copy },
};

const NO_DECISION: DecisionLook = { words: text.decision.none, tone: 'plain', icon: null };

/** Return the look of a decision. `code` is null if the event was not decided for the flow. */
export const lookOf = (code: DecisionCode | null): DecisionLook => (code === null ? NO_DECISION : DECISIONS[code]);
