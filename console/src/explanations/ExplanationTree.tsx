import { Check, ChevronDown, ChevronRight, Clock, X } from 'lucide-react';
import { type KeyboardEvent, useId, useRef, useState } from 'react';

import { UserText } from '../components/UserText';
import { visibleControls } from '../components/user-text';
import { text } from '../text';
import type { Line } from './lines';

interface Row extends Line {
  level: number;
  position: number;
  siblings: number;
}

/** What was expected and what was found, as a tree: arrow keys move in it, and open and close its branches. */
export function ExplanationTree({ label, lines }: { label: string; lines: readonly Line[] }) {
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const [focused, setFocused] = useState<string | null>(null);
  const tree = useRef<HTMLDivElement>(null);
  const idPrefix = useId();
  const rows = visibleRows(lines, closed);
  const current = rows.find((row) => row.key === focused) ?? rows[0];

  const setOpen = (key: string, isOpen: boolean) =>
    setClosed((before) => {
      const next = new Set(before);
      if (isOpen) next.delete(key);
      else next.add(key);
      return next;
    });

  function focus(row: Row | undefined): void {
    if (row === undefined) return;
    setFocused(row.key);
    tree.current?.querySelector<HTMLElement>(`[data-line="${CSS.escape(row.key)}"]`)?.focus();
  }

  function onKeyDown(event: KeyboardEvent): void {
    if (current === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    const index = rows.indexOf(current);
    const isOpen = !closed.has(current.key);
    const hasChildren = current.children.length > 0;
    const moves: Readonly<Record<string, () => void>> = {
      ArrowDown: () => focus(rows[index + 1]),
      ArrowUp: () => focus(rows[index - 1]),
      Home: () => focus(rows[0]),
      End: () => focus(rows.at(-1)),
      ArrowRight: () => {
        if (!hasChildren) return;
        if (isOpen) focus(rows[index + 1]);
        else setOpen(current.key, true);
      },
      ArrowLeft: () => {
        if (hasChildren && isOpen) setOpen(current.key, false);
        else focus(rows.slice(0, index).findLast((row) => row.level < current.level));
      },
      Enter: () => hasChildren && setOpen(current.key, !isOpen),
    };
    const move = moves[event.key];
    if (move === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    move();
  }

  return (
    <div className="explanation">
      <div className="line head" aria-hidden="true">
        <span />
        <span>{text.explanation.expected}</span>
        <span className="found">{text.explanation.found}</span>
      </div>
      <div role="tree" aria-label={label} ref={tree} onKeyDown={onKeyDown}>
        {rows.map((row) => (
          <TreeRow
            key={row.key}
            row={row}
            id={`${idPrefix} ${row.key}`}
            isOpen={!closed.has(row.key)}
            isCurrent={row.key === current?.key}
            onFocus={() => setFocused(row.key)}
            onToggle={() => setOpen(row.key, closed.has(row.key))}
          />
        ))}
      </div>
    </div>
  );
}

interface TreeRowProps {
  row: Row;
  id: string;
  isOpen: boolean;
  isCurrent: boolean;
  onFocus: () => void;
  onToggle: () => void;
}

function TreeRow({ row, id, isOpen, isCurrent, onFocus, onToggle }: TreeRowProps) {
  const hasChildren = row.children.length > 0;
  const look = row.state === 'failed' ? (row.isDecisive ? 'no' : 'off') : row.state === 'waiting' ? 'wait' : 'ok';
  const Icon = { no: X, off: X, ok: Check, wait: Clock }[look];
  return (
    <div
      role="treeitem"
      className={`line ${look} level-${Math.min(row.level, 4)} ${row.joint === 'or' ? 'or' : ''}`}
      data-line={row.key}
      aria-level={row.level}
      aria-posinset={row.position}
      aria-setsize={row.siblings}
      aria-expanded={hasChildren ? isOpen : undefined}
      aria-labelledby={id}
      tabIndex={isCurrent ? 0 : -1}
      onFocus={onFocus}
      onClick={hasChildren ? onToggle : undefined}
    >
      <Icon size={14} strokeWidth={1.8} aria-hidden />
      <span id={id} className="sr">
        {visibleControls(text.explanation.spoken(text.explanation.state[row.state], spoken(row), row.found))}
      </span>
      <span aria-hidden="true" className="expected">
        {row.joint !== null && <span className="muted">{text.explanation.joint[row.joint]} </span>}
        {row.subject !== '' && (
          <b>
            <UserText>{row.subject}</UserText>
          </b>
        )}{' '}
        <UserText>{row.words}</UserText>
        {row.because !== undefined && (
          <small>
            <UserText>{row.because}</UserText>
          </small>
        )}
      </span>
      {hasChildren ? (
        <span aria-hidden="true" className="found muted">
          {row.found !== null && <UserText>{`${row.found} `}</UserText>}
          {isOpen ? <ChevronDown size={14} strokeWidth={1.8} /> : <ChevronRight size={14} strokeWidth={1.8} />}
        </span>
      ) : (
        <UserText aria-hidden="true" className="found">
          {row.found}
        </UserText>
      )}
    </div>
  );
}

const spoken = (row: Line): string =>
  [row.joint === null ? '' : text.explanation.joint[row.joint], row.subject, row.words, row.because ?? '']
    .filter((part) => part !== '')
    .join(' ');

/** The rows of the branches that are open, from top to bottom. */
function visibleRows(lines: readonly Line[], closed: ReadonlySet<string>, level = 1): Row[] {
  return lines.flatMap((line, index) => [
    { ...line, level, position: index + 1, siblings: lines.length },
    ...(closed.has(line.key) ? [] : visibleRows(line.children, closed, level + 1)),
  ]);
}
