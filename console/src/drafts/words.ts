/** The difference of two texts by words. */

export interface WordPart {
  readonly text: string;
  readonly isNew: boolean;
}

/** Longer texts are shown without marks: the comparison takes the product of both lengths. */
const MOST_WORDS = 1_500;

const wordsOf = (text: string): readonly string[] => text.split(/(?<=\s)/);

/** Split `next` into parts that `before` has too, and parts that are new. */
export function markNew(before: string, next: string): readonly WordPart[] {
  const [old, words] = [wordsOf(before), wordsOf(next)];
  if (old.length > MOST_WORDS || words.length > MOST_WORDS) return [{ text: next, isNew: false }];
  // lengths[i][j]: the longest common sequence of the words from i and from j on.
  const lengths = Array.from({ length: old.length + 1 }, () => new Uint16Array(words.length + 1));
  const length = (row: number, column: number): number => lengths[row]?.[column] ?? 0;
  for (let row = old.length - 1; row >= 0; row -= 1) {
    for (let column = words.length - 1; column >= 0; column -= 1) {
      const isEqual = old[row]?.trim() === words[column]?.trim();
      const longest = isEqual
        ? length(row + 1, column + 1) + 1
        : Math.max(length(row + 1, column), length(row, column + 1));
      (lengths[row] as Uint16Array)[column] = longest;
    }
  }
  const parts: { text: string; isNew: boolean }[] = [];
  const add = (text: string, isNew: boolean): void => {
    const last = parts.at(-1);
    if (last?.isNew === isNew) last.text += text;
    else parts.push({ text, isNew });
  };
  let row = 0;
  for (const [column, word] of words.entries()) {
    while (row < old.length && old[row]?.trim() !== word.trim() && length(row + 1, column) >= length(row, column + 1))
      row += 1;
    const isKept = row < old.length && old[row]?.trim() === word.trim();
    add(word, !isKept);
    if (isKept) row += 1;
  }
  return parts;
}
