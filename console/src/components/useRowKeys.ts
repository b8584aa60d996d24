import { useMemo, useState } from 'react';

import { useKeys } from '../shell/keys';
import { text } from '../text';

/**
 * `j` and `k` move a selection through the rows of a list, Enter opens the selected row, Escape removes the selection.
 *
 * Returns the index of the selected row, or null. Rows have the attribute `data-row` with their index, so that the
 * selected row is scrolled into view.
 */
export function useRowKeys(rows: number, open: (row: number) => void): number | null {
  const [selected, setSelected] = useState<number | null>(null);
  const bindings = useMemo(() => {
    const move = (step: number) =>
      setSelected((current) => {
        if (rows === 0) return null;
        const next = current === null ? (step > 0 ? 0 : rows - 1) : Math.min(Math.max(current + step, 0), rows - 1);
        document.querySelector(`[data-row="${next}"]`)?.scrollIntoView({ block: 'nearest' });
        return next;
      });
    return [
      { keys: 'j', label: text.keys.next, run: () => move(1) },
      { keys: 'k', label: text.keys.previous, run: () => move(-1) },
      {
        keys: 'Enter',
        label: text.keys.open,
        run: () => {
          if (selected !== null && selected < rows) open(selected);
        },
      },
      { keys: 'Escape', label: text.keys.close, run: () => setSelected(null) },
    ];
  }, [rows, open, selected]);
  useKeys(text.keys.list, bindings);
  return selected !== null && selected < rows ? selected : null;
}
