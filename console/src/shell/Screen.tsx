import { type ReactNode, useEffect } from 'react';

import { visibleControls } from '../components/user-text';
import { UserText } from '../components/UserText';
import { text } from '../text';

interface ScreenProps {
  title: string;
  /** Beside the title, in grey. */
  summary?: string | undefined;
  /** Before the title: a link to the list that the screen belongs to. */
  back?: ReactNode;
  /** At the right of the title. */
  actions?: ReactNode;
  /** Bars between the head and the content, for example filters or tabs. */
  bars?: ReactNode;
  children: ReactNode;
}

/** A screen: its head, its bars, and its content, which scrolls. */
export function Screen({ title, back, summary, actions, bars, children }: ScreenProps) {
  useEffect(() => {
    document.title = text.pageTitle(visibleControls(title));
  }, [title]);
  return (
    <>
      <header className="top">
        {back}
        <h1 className="truncate">
          <UserText>{title}</UserText>
        </h1>
        {summary !== undefined && <span className="muted num truncate">{summary}</span>}
        <span className="grow" />
        {actions}
      </header>
      {bars}
      {/* It scrolls, so the keyboard must reach it. */}
      <div className="body" tabIndex={0} role="region" aria-label={visibleControls(title)}>
        {children}
      </div>
    </>
  );
}
