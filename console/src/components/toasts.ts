/** Messages that appear for a short time at the bottom of the page. */

import { useSyncExternalStore } from 'react';

export interface Toast {
  id: number;
  message: string;
  tone: 'plain' | 'bad';
  /** For example "Undo". */
  action?: { label: string; run: () => void } | undefined;
}

const SHOWN_MS = 6_000;
const AT_MOST = 3;

let toasts: readonly Toast[] = [];
let lastId = 0;
const listeners = new Set<() => void>();

function set(next: readonly Toast[]): void {
  toasts = next.slice(-AT_MOST);
  for (const listener of listeners) listener();
}

/** Show a message. A failure stays until it is closed; everything else disappears after six seconds. */
export function say(message: string, tone: Toast['tone'] = 'plain', action?: Toast['action']): void {
  lastId += 1;
  const toast: Toast = { id: lastId, message, tone, action };
  set([...toasts.filter((other) => other.message !== message), toast]);
  if (tone !== 'bad') setTimeout(() => dismiss(toast.id), SHOWN_MS);
}

export function dismiss(id: number): void {
  set(toasts.filter((toast) => toast.id !== id));
}

export const useToasts = (): readonly Toast[] =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => toasts,
  );
