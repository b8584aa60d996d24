/** Names of flows. */

import { text } from '../text';
import { visibleControls } from './user-text';

/** Return the name of a flow as a person reads it. A flow may have no name. */
export const flowName = (flowId: string, name: string | null | undefined): string =>
  name === null || name === undefined || name === '' ? text.flows.unnamed(flowId) : visibleControls(name);
