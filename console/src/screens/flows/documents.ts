/** Documents of flows: the v4 JSON itself, with every key that the console does not know. */

import type { Schemas } from '../../api/client';

/** Keys that the API sets. A new flow gets its own. */
const SERVER_KEYS = ['id', 'revisionId', 'createdAt', 'updatedAt', 'crmObjectCreationStatus', 'warnings', 'uuid'];

export const withoutServerKeys = (flow: Schemas['Flow']): Schemas['FlowInput'] =>
  Object.fromEntries(Object.entries(flow).filter(([key]) => !SERVER_KEYS.includes(key))) as Schemas['FlowInput'];

/** Read a document from a file. Throws an Error with a message for people. */
export function parseFlow(content: string, expected: string): Schemas['FlowInput'] {
  const document: unknown = JSON.parse(content);
  if (typeof document !== 'object' || document === null || Array.isArray(document) || !('type' in document)) {
    throw new Error(expected);
  }
  return withoutServerKeys(document as Schemas['Flow']);
}
