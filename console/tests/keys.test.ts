import { renderHook } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { listenToKeys, useKeys } from '../src/shell/keys';
import { setPreferences } from '../src/shell/preferences';

let stop: () => void;
const next = vi.fn();
const flows = vi.fn();

beforeEach(() => {
  stop = listenToKeys();
  const bindings = [
    { keys: 'j', label: 'next', run: next },
    { keys: 'g f', label: 'flows', run: flows },
  ];
  renderHook(() => useKeys('keys', bindings));
});

afterEach(() => {
  stop();
  setPreferences({ singleKeys: true });
  vi.clearAllMocks();
  document.body.replaceChildren();
});

function press(key: string, target: Element = document.body): void {
  target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
}

test('a key acts on the page', () => {
  press('j');
  expect(next).toHaveBeenCalledOnce();
});

test('a key does not act while a field has the focus', () => {
  const field = document.body.appendChild(document.createElement('input'));
  press('j', field);
  expect(next).not.toHaveBeenCalled();
});

test('a sequence needs both keys', () => {
  press('f');
  expect(flows).not.toHaveBeenCalled();
  press('g');
  press('f');
  expect(flows).toHaveBeenCalledOnce();
});

test('keys of a single letter can be turned off', () => {
  setPreferences({ singleKeys: false });
  press('j');
  press('g');
  press('f');
  expect(next).not.toHaveBeenCalled();
  expect(flows).not.toHaveBeenCalled();
});
