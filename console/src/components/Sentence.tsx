import { useQuery } from '@tanstack/react-query';

import { eventTypesQuery } from '../api/queries';
import { type Part, partsOf } from './sentences';
import { visibleControls } from './user-text';

interface SentenceProps {
  /** The sentences of the API (`explanation`). */
  children: readonly string[];
  /** The events whose labels stand out. */
  eventTypes: readonly string[];
}

/** A flow in words, with the labels of its events in bold. */
export function Sentence({ children, eventTypes }: SentenceProps) {
  const catalog = useQuery(eventTypesQuery()).data ?? [];
  const labels = catalog.filter(({ eventType }) => eventTypes.includes(eventType));
  return <bdi>{partsOf(visibleControls(children.join(' ')), labels).map(shown)}</bdi>;
}

// Parts have no identity but their place in the sentence.
const shown = (part: Part, index: number) => (part.isLabel ? <b key={index}>{part.text}</b> : part.text);
