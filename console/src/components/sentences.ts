/** Finds the labels of events in the sentences of the API, which write `page visited (website.page_visited)`. */

export interface Part {
  text: string;
  isLabel: boolean;
}

interface Labelled {
  eventType: string;
  label: string;
}

/** Split a sentence into the labels of events and the text between them. The names in brackets are left out. */
export function partsOf(sentence: string, labels: readonly Labelled[]): Part[] {
  const parts: Part[] = [];
  let rest = sentence;
  for (let next = firstLabel(rest, labels); next !== null; next = firstLabel(rest, labels)) {
    parts.push({ text: rest.slice(0, next.start), isLabel: false });
    parts.push({ text: rest.slice(next.start, next.end), isLabel: true });
    rest = rest.slice(next.end + next.bracket.length);
  }
  return [...parts, { text: rest, isLabel: false }].filter((part) => part.text !== '');
}

function firstLabel(sentence: string, labels: readonly Labelled[]) {
  let first: { start: number; end: number; bracket: string } | null = null;
  for (const { eventType, label } of labels) {
    const bracket = ` (${eventType})`;
    const end = sentence.indexOf(bracket);
    const start = end - label.length;
    // A sentence writes a label in lower case unless it is at the beginning.
    if (end < 0 || start < 0 || sentence.slice(start, end).toLowerCase() !== label.toLowerCase()) continue;
    if (first === null || start < first.start) first = { start, end, bracket };
  }
  return first;
}
