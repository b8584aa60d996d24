import { useCallback, useEffect, useReducer, useRef } from 'react';

import { type Activity, MOST_EVENT_TYPES, readActivity, readActivityOfFlow } from '../../api/event-queries';
import { ApiError } from '../../api/errors';
import { type Followed, intervalMs, nextSince, NOTHING, released, unlistedOf, withAnswer } from './following';

/** What is followed: events of some types, or those that concern a flow. */
export type Subject = { eventTypes: readonly string[] } | { flowId: string };

interface State extends Followed {
  /** Why the last request failed, and when the last one succeeded. */
  error: Error | null;
  succeededAtMs: number | null;
}

type Action =
  | { kind: 'answer'; answer: Activity; isHeld: boolean; atMs: number }
  | { kind: 'failure'; error: Error }
  | { kind: 'release' }
  | { kind: 'restart' };

const START: State = { ...NOTHING, error: null, succeededAtMs: null };

function reduce(state: State, action: Action): State {
  switch (action.kind) {
    case 'answer':
      return {
        ...withAnswer(state, action.answer, action.isHeld && state.answers > 0),
        error: null,
        succeededAtMs: action.atMs,
      };
    case 'failure':
      return { ...state, error: action.error };
    case 'release':
      return { ...state, ...released(state) };
    case 'restart':
      return START;
  }
}

/** So many events beyond an answer are read by asking for a few types at a time. More of them are only counted. */
const READ_IN_PARTS = 75;
const TYPES_IN_PART = 3;
const SLOWEST = 8;

/** What a reader does. Without it the requests become rarer. */
const ACTIVITY_OF_READER = ['pointermove', 'pointerdown', 'keydown', 'wheel'] as const;

/**
 * Follow the newest events by short polling: none while the page is hidden, and rarer while the reader is idle or the
 * API limits requests. `isHeld`: what is new waits, and `release` lists it.
 */
export function useFollowing(subject: Subject | null, isHeld: boolean) {
  const [state, dispatch] = useReducer(reduce, START);
  const latest = useRef({ state, isHeld });
  useEffect(() => {
    latest.current = { state, isHeld };
  });
  const subjectKey = JSON.stringify(subject);

  useEffect(() => {
    const followed = JSON.parse(subjectKey) as Subject | null;
    if (followed === null) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let controller: AbortController | null = null;
    let slowness = 1;
    let activeAtMs = Date.now();
    dispatch({ kind: 'restart' });
    latest.current = { ...latest.current, state: START };

    async function poll(): Promise<void> {
      if (document.hidden || controller !== null) return;
      controller = new AbortController();
      const { signal } = controller;
      try {
        const answer = await readNew(followed as Subject, latest.current.state, signal);
        dispatch({ kind: 'answer', answer, isHeld: latest.current.isHeld, atMs: Date.now() });
        slowness = 1;
      } catch (error) {
        if (signal.aborted) return;
        dispatch({ kind: 'failure', error: error instanceof Error ? error : new Error(String(error)) });
        if (error instanceof ApiError && error.isTransient) slowness = Math.min(slowness * 2, SLOWEST);
      } finally {
        if (!signal.aborted) controller = null;
      }
      timer = setTimeout(() => void poll(), intervalMs(Date.now() - activeAtMs) * slowness);
    }

    function stop(): void {
      clearTimeout(timer);
      controller?.abort();
      controller = null;
    }

    function visibilityChanged(): void {
      stop();
      void poll();
    }

    function readerActed(): void {
      activeAtMs = Date.now();
    }

    document.addEventListener('visibilitychange', visibilityChanged);
    for (const name of ACTIVITY_OF_READER) window.addEventListener(name, readerActed, { passive: true });
    void poll();
    return () => {
      stop();
      document.removeEventListener('visibilitychange', visibilityChanged);
      for (const name of ACTIVITY_OF_READER) window.removeEventListener(name, readerActed);
    };
  }, [subjectKey]);

  const release = useCallback(() => dispatch({ kind: 'release' }), []);
  return { ...state, release };
}

/** Read what is new. The first request reads the newest events, however old. */
async function readNew(subject: Subject, state: State, signal: AbortSignal): Promise<Activity> {
  const since = state.answers === 0 ? undefined : nextSince(state, Date.now());
  const answer = await read(subject, since, signal);
  const unlisted = unlistedOf(state, answer);
  if (unlisted === 0 || unlisted > READ_IN_PARTS || 'flowId' in subject || subject.eventTypes.length < 2) return answer;
  const parts = await Promise.all(
    parted(subject.eventTypes).map((eventTypes) => readActivity({ eventTypes, since, signal })),
  );
  return {
    ...answer,
    results: parts.flatMap(({ results }) => results).sort((a, b) => (a.event.occurredAt < b.event.occurredAt ? 1 : -1)),
    more: parts.reduce((sum, { more }) => sum + more, 0),
  };
}

const read = (subject: Subject, since: string | undefined, signal: AbortSignal): Promise<Activity> =>
  'flowId' in subject
    ? readActivityOfFlow({ flowId: subject.flowId, since, signal })
    : readActivity({ eventTypes: subject.eventTypes.slice(0, MOST_EVENT_TYPES), since, signal });

function parted(eventTypes: readonly string[]): string[][] {
  const parts: string[][] = [];
  for (let start = 0; start < eventTypes.length; start += TYPES_IN_PART) {
    parts.push(eventTypes.slice(start, start + TYPES_IN_PART));
  }
  return parts;
}
