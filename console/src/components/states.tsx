/** The states that every screen has: loading, empty, and failed (section "States" of docs/console.md). */

import { CircleAlert, type LucideIcon, SearchX } from 'lucide-react';
import { type ReactNode, useEffect, useState } from 'react';

import { ApiError } from '../api/errors';
import { useClock } from '../shell/clock';
import { usePortalId } from '../shell/portal';
import { text } from '../text';
import { Button } from './Button';
import { Id } from './Id';
import { formatTime } from './times';
import { visibleControls } from './user-text';
import { UserText } from './UserText';

/** A skeleton appears only when loading takes longer, so that a fast answer does not flicker. */
const SHOWN_AFTER_MS = 150;

/** `skeleton`: the layout that will appear, drawn with `Placeholder`. */
export function Loading({ children }: { children: ReactNode }) {
  const [isShown, setShown] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setShown(true), SHOWN_AFTER_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div role="status" aria-busy="true">
      <span className="sr">{text.state.loading}</span>
      {isShown && <div aria-hidden="true">{children}</div>}
    </div>
  );
}

/** A grey bar in the place of text that comes later. `size`: about as long as that text. */
export function Placeholder({ size = 'm' }: { size?: 'xs' | 's' | 'm' | 'l' }) {
  return <span className={`placeholder ${size}`} />;
}

/** Rows of a list that is being loaded. */
export function LoadingRows({ rows = 8 }: { rows?: number }) {
  return (
    <Loading>
      {Array.from({ length: rows }, (_, row) => (
        <div key={row} className="loading-row">
          <Placeholder size="xs" />
          <Placeholder size="l" />
          <Placeholder size="s" />
        </div>
      ))}
    </Loading>
  );
}

/** The category with which `enroll console` answers if it cannot sign requests (cli/enroll/console_server.py). */
const EXPIRED_CREDENTIALS = 'EXPIRED_CREDENTIALS';

interface EmptyProps {
  icon?: LucideIcon;
  /** One sentence. */
  children: ReactNode;
  /** One action: a button, or the command that fills the list. */
  action?: ReactNode;
}

export function Empty({ icon: Icon = SearchX, children, action }: EmptyProps) {
  return (
    <div className="state">
      <Icon size={24} strokeWidth={1.5} aria-hidden />
      <p>{children}</p>
      {action}
    </div>
  );
}

interface ErrorStateProps {
  error: Error;
  /** What was looked for, for example `contact/103`. */
  subject?: string;
  onRetry?: () => void;
}

/** A screen, or a part of it, that could not be loaded. */
export function ErrorState({ error, subject, onRetry }: ErrorStateProps) {
  const portalId = usePortalId();
  if (error instanceof ApiError && error.status === 404) {
    return (
      <div className="state" role="alert">
        <SearchX size={24} strokeWidth={1.5} aria-hidden />
        <h2>{text.state.notFound(portalId)}</h2>
        <p>
          <UserText>{text.state.notFoundExplanation(subject)}</UserText>
        </p>
      </div>
    );
  }
  const isSignedOut = error instanceof ApiError && error.status === 401;
  return (
    <div className="state" role="alert">
      <CircleAlert size={24} strokeWidth={1.5} aria-hidden className="bad-mark" />
      <h2>{isSignedOut ? text.state.signedOutTitle : text.state.errorTitle}</h2>
      <p>
        <UserText>{messageOf(error)}</UserText>
      </p>
      {error instanceof ApiError && error.correlationId !== null && (
        <p className="muted">
          {text.state.correlationId} <Id>{error.correlationId}</Id>
        </p>
      )}
      {onRetry !== undefined && (
        <Button onPress={onRetry}>{isSignedOut ? text.state.continue : text.state.retry}</Button>
      )}
    </div>
  );
}

/** What went wrong, in words for people. */
export const messageOf = (error: Error): string => visibleControls(wordsOf(error));

function wordsOf(error: Error): string {
  if (!(error instanceof ApiError)) return error.message;
  // API Gateway answers 403 itself if an IAM policy refuses the call. Its answer has no category.
  if (error.status === 403 && error.category === null) return text.state.forbidden(error.call);
  switch (error.status) {
    case 0:
      return text.state.network;
    case 401:
      // `enroll console` says what to do. API Gateway's own words do not.
      return error.category === EXPIRED_CREDENTIALS ? error.message : text.state.signedOut;
    case 413:
      return error.message || text.state.tooLarge;
    case 429:
      return text.state.throttled;
    default:
      return error.message || text.state.unexpected(error.status);
  }
}

/** A bar above data that is old because loading it again failed. `updatedAtMs`: when it was loaded. */
export function StaleBar({ updatedAtMs, onRetry }: { updatedAtMs: number; onRetry: () => void }) {
  const { nowMs, timeZone } = useClock();
  const age = formatTime(new Date(updatedAtMs).toISOString(), Math.max(nowMs, updatedAtMs), { timeZone });
  return (
    <div className="stale-bar" role="status">
      <CircleAlert size={14} strokeWidth={1.8} aria-hidden />
      <span className="grow">{text.state.stale(age)}</span>
      <Button isSmall look="quiet" onPress={onRetry}>
        {text.state.retry}
      </Button>
    </div>
  );
}
