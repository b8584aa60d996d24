import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import { turnFlow } from '../../api/changes';
import { ApiError } from '../../api/errors';
import { type FlowOverview, flowsQuery } from '../../api/queries';
import { Confirm } from '../../components/Confirm';
import { flowName } from '../../components/flow-names';
import { messageOf } from '../../components/states';
import { Switch } from '../../components/Switch';
import { say } from '../../components/toasts';
import { UserText } from '../../components/UserText';
import { SCOPES, useMissingScope } from '../../shell/portal';
import { text } from '../../text';

/** The warning of a loop names it (docs/flows.md). */
const LOOP = /\bloop\b/i;

/** Turns a flow on or off. It shows the new state at once, and returns to the old one if the API refuses. */
export function FlowSwitch({ flow }: { flow: FlowOverview }) {
  const name = flowName(flow.id, flow.name);
  const client = useQueryClient();
  const missingScope = useMissingScope(SCOPES.writeFlows);
  const [isAsking, setAsking] = useState(false);
  const change = useMutation({
    mutationFn: (isEnabled: boolean) => turnFlow(flow.id, isEnabled),
    onSuccess: async (stored) => {
      say(stored.isEnabled ? text.flows.turnedOn(name) : text.flows.turnedOff(name));
      await client.invalidateQueries({ queryKey: ['flow', flow.id] });
    },
    onError: (error) => {
      const reason = error instanceof ApiError && error.status === 409 ? text.state.conflict : messageOf(error);
      say(text.flows.notTurned(name, reason), 'bad');
    },
    // The switch shows the wanted state until the list has the stored one.
    onSettled: () => client.invalidateQueries({ queryKey: flowsQuery().queryKey }),
  });

  function turn(isEnabled: boolean): void {
    if (isEnabled && flow.warnings.some((warning) => LOOP.test(warning))) setAsking(true);
    else change.mutate(isEnabled);
  }

  return (
    <>
      <Switch
        label={text.flows.toggle(name)}
        isOn={change.isPending ? change.variables : flow.isEnabled}
        isBusy={change.isPending}
        disabledBecause={missingScope ?? (flow.canRun ? undefined : text.flows.cannotBeRead)}
        onChange={turn}
      />
      <Confirm
        title={text.flows.confirmOn(name)}
        isOpen={isAsking}
        onClose={() => setAsking(false)}
        action={text.flows.turnOn}
        look="primary"
        onConfirm={() => change.mutate(true)}
      >
        {flow.warnings.map((warning) => (
          <p key={warning}>
            <UserText>{warning}</UserText>
          </p>
        ))}
        <p>{text.flows.onlyFromNow}</p>
      </Confirm>
    </>
  );
}
