import { ChevronDown, ChevronRight } from 'lucide-react';
import { type ReactNode, useId, useState } from 'react';
import { useQuery } from '@tanstack/react-query';

import { eventTypesQuery } from '../api/queries';
import { flowName } from '../components/flow-names';
import { FlowLink } from '../components/FlowLink';
import { DecisionPill } from '../components/Pill';
import { formatClock } from '../components/times';
import { UserText } from '../components/UserText';
import { useClock } from '../shell/clock';
import { text } from '../text';
import { decisionWords, reasonWords } from './decision-words';
import { ExplanationTree } from './ExplanationTree';
import { linesOf } from './lines';
import type { Account } from './steps';

interface DecisionCardProps {
  account: Account;
  isOpenAtFirst?: boolean;
  /** In the footer of the explanation, beside the link to the flow. */
  links?: ReactNode;
}

/** What one flow decided on one event. It opens to the explanation. */
export function DecisionCard({ account, isOpenAtFirst = false, links }: DecisionCardProps) {
  const [isOpen, setOpen] = useState(isOpenAtFirst);
  const { nowMs, timeZone } = useClock();
  const id = useId();
  const time = (iso: string) => formatClock(iso, nowMs, { timeZone });
  const Icon = isOpen ? ChevronDown : ChevronRight;
  return (
    <div className="decision">
      <button
        type="button"
        className="d"
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        onClick={() => setOpen(!isOpen)}
      >
        <DecisionPill code={account.code} words={decisionWords(account, time)} />
        <UserText className="t">{flowName(account.flowId, account.flowName)}</UserText>
        <UserText className="because grow truncate">{reasonWords(account)}</UserText>
        <Icon size={14} strokeWidth={1.8} aria-hidden className="muted" />
      </button>
      {isOpen && (
        <div className="why" id={id}>
          <Explanation account={account} />
          <footer>
            <span className="num">
              {text.explanation.revision(account.flowRevisionId, account.currentFlowRevisionId)}
            </span>
            <span className="grow" />
            {links}
            <FlowLink flowId={account.flowId}>{text.explanation.openFlow}</FlowLink>
          </footer>
        </div>
      )}
    </div>
  );
}

/** The tree of an explanation and its notes. */
export function Explanation({ account }: { account: Account }) {
  const { nowMs, timeZone } = useClock();
  const catalog = useQuery(eventTypesQuery()).data ?? [];
  const lines = linesOf(account, catalog, (iso) => formatClock(iso, nowMs, { timeZone }));
  return (
    <>
      {lines.length === 0 ? (
        <p className="soft">
          <UserText>{account.because}</UserText>
        </p>
      ) : (
        <ExplanationTree label={text.explanation.of(flowName(account.flowId, account.flowName))} lines={lines} />
      )}
      {account.notes.map((note) => (
        <p key={note} className="muted note-line">
          <UserText>{note}</UserText>
        </p>
      ))}
    </>
  );
}
