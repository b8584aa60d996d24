/**
 * Keys. A component declares its keys with `useKeys` while it is shown; `?` lists the keys of all that is shown.
 *
 * A binding is a key ("j", "/", "Escape", "Enter"), a sequence of two ("g f"), or a key with Ctrl or ⌘ ("mod+k", "mod+shift+z").
 */

import { useEffect, useSyncExternalStore } from 'react';

import { preferences } from './preferences';

export interface KeyBinding {
  keys: string;
  /** What it does, for the list of keys. */
  label: string;
  run: () => void;
}

/** Keys that belong together in the list, for example those of a list. */
interface KeyGroup {
  title: string;
  bindings: readonly KeyBinding[];
}

/** Whether commands have ⌘ instead of Ctrl. */
export const IS_MAC = navigator.userAgent.includes('Macintosh');

/** The second key of a sequence must follow within this time. */
const SEQUENCE_MS = 1_200;

let groups: readonly KeyGroup[] = [];
const listeners = new Set<() => void>();
let first: { key: string; at: number } | null = null;

function setGroups(next: readonly KeyGroup[]): void {
  groups = next;
  for (const listener of listeners) listener();
}

/** Declare keys while the calling component is shown. Of two bindings of one key, the one declared last acts. */
export function useKeys(title: string, bindings: readonly KeyBinding[]): void {
  useEffect(() => {
    const group = { title, bindings };
    setGroups([...groups, group]);
    return () => setGroups(groups.filter((other) => other !== group));
  }, [title, bindings]);
}

/** The keys that act at present, in groups of one title. */
export function useKeyGroups(): readonly KeyGroup[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => groups,
  );
}

/** Whether the key belongs to the element that has the focus: a field, a menu, a list of options. */
function isTypedInto(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable ||
      target.closest('input, textarea, select, [role="menu"], [role="listbox"], [role="tree"], [role="dialog"]') !==
        null)
  );
}

/** Whether Enter or Space presses the element that has the focus. */
const isPressable = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.closest('a, button, summary, [role="tab"]') !== null;

function bindingOf(keys: string): KeyBinding | undefined {
  return groups.flatMap((group) => group.bindings).findLast((binding) => binding.keys === keys);
}

function pressed(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing || event.altKey) return;
  if (event.ctrlKey || event.metaKey) {
    const key = event.key.toLowerCase();
    act(event, (event.shiftKey ? bindingOf(`mod+shift+${key}`) : undefined) ?? bindingOf(`mod+${key}`));
    return;
  }
  if (isTypedInto(event.target) || ((event.key === 'Enter' || event.key === ' ') && isPressable(event.target))) return;
  if (event.key.length === 1 && !preferences().singleKeys) return;
  const sequence = first !== null && event.timeStamp - first.at < SEQUENCE_MS ? `${first.key} ${event.key}` : null;
  first = null;
  const binding = (sequence !== null ? bindingOf(sequence) : undefined) ?? bindingOf(event.key);
  if (binding !== undefined) act(event, binding);
  else if (event.key.length === 1) first = { key: event.key, at: event.timeStamp };
}

function act(event: KeyboardEvent, binding: KeyBinding | undefined): void {
  if (binding === undefined) return;
  event.preventDefault();
  binding.run();
}

/** Listen to the keys of the window. Returns a function that ends it. */
export function listenToKeys(): () => void {
  window.addEventListener('keydown', pressed);
  return () => window.removeEventListener('keydown', pressed);
}
