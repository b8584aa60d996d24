import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Copy, CopyPlus, Download, Ellipsis, Trash2 } from 'lucide-react';
import { useState } from 'react';

import { createFlow, deleteFlow } from '../../api/changes';
import { type FlowOverview, flowsQuery, readFlow } from '../../api/queries';
import { IconButton } from '../../components/Button';
import { Confirm } from '../../components/Confirm';
import { copy } from '../../components/copying';
import { download } from '../../components/downloads';
import { flowName } from '../../components/flow-names';
import { Menu } from '../../components/Menu';
import { messageOf } from '../../components/states';
import { say } from '../../components/toasts';
import { SCOPES, useMissingScope } from '../../shell/portal';
import { text } from '../../text';
import { withoutServerKeys } from './documents';

/** What can be done with a flow of the list. */
export function FlowMenu({ flow }: { flow: FlowOverview }) {
  const name = flowName(flow.id, flow.name);
  const client = useQueryClient();
  const isReadOnly = useMissingScope(SCOPES.writeFlows) !== undefined;
  const [isAsking, setAsking] = useState(false);
  const refresh = () => client.invalidateQueries({ queryKey: flowsQuery().queryKey });
  const onError = (error: Error) => say(messageOf(error), 'bad');

  const duplicate = useMutation({
    // The copy is off, because two flows of the same triggers enroll each record twice.
    mutationFn: async () =>
      createFlow({
        ...withoutServerKeys(await readFlow(flow.id)),
        name: text.flows.copyOf(flow.name ?? name),
        isEnabled: false,
      }),
    onSuccess: (created) => say(text.flows.duplicated(created.name ?? created.id)),
    onError,
    onSettled: refresh,
  });
  const exported = useMutation({
    mutationFn: () => readFlow(flow.id),
    onSuccess: (document) => download(`flow-${flow.id}.json`, `${JSON.stringify(document, null, 2)}\n`),
    onError,
  });
  const removed = useMutation({
    mutationFn: () => deleteFlow(flow.id),
    onSuccess: () => say(text.flows.deleted(name)),
    onError,
    onSettled: refresh,
  });

  return (
    <>
      <Menu
        label={text.action.more(name)}
        actions={[
          {
            id: 'duplicate',
            label: text.flows.duplicate,
            icon: CopyPlus,
            isDisabled: isReadOnly,
            run: () => duplicate.mutate(),
          },
          { id: 'copy', label: text.flows.copyId, icon: Copy, run: () => copy(flow.id) },
          { id: 'export', label: text.flows.exportJson, icon: Download, run: () => exported.mutate() },
          {
            id: 'delete',
            label: text.flows.delete,
            icon: Trash2,
            isDanger: true,
            isDisabled: isReadOnly,
            run: () => setAsking(true),
          },
        ]}
      >
        <IconButton icon={Ellipsis} label={text.action.more(name)} />
      </Menu>
      <Confirm
        title={text.flows.confirmDelete(name)}
        isOpen={isAsking}
        onClose={() => setAsking(false)}
        action={text.flows.delete}
        look="danger"
        onConfirm={() => removed.mutate()}
      >
        <p>{text.flows.deleteExplanation}</p>
      </Confirm>
    </>
  );
}
