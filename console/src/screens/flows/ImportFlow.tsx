import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Upload } from 'lucide-react';
import { useRef } from 'react';

import { createFlow } from '../../api/changes';
import { flowsQuery } from '../../api/queries';
import { Button } from '../../components/Button';
import { messageOf } from '../../components/states';
import { say } from '../../components/toasts';
import { SCOPES, useMissingScope } from '../../shell/portal';
import { text } from '../../text';
import { parseFlow } from './documents';

/** The API refuses a larger document. */
const LARGEST_FILE_BYTES = 350_000;

/** Creates a flow, turned off, from a file with its JSON, for example one that HubSpot exported. */
export function ImportFlow() {
  const client = useQueryClient();
  const navigate = useNavigate();
  const file = useRef<HTMLInputElement>(null);
  const missingScope = useMissingScope(SCOPES.writeFlows);
  const imported = useMutation({
    mutationFn: async (chosen: File) => {
      if (chosen.size > LARGEST_FILE_BYTES) throw new Error(text.state.tooLarge);
      return createFlow({ ...parseFlow(await chosen.text(), text.flows.notAFlow(chosen.name)), isEnabled: false });
    },
    onSuccess: async (flow) => {
      say(text.flows.imported(flow.name ?? flow.id));
      await client.invalidateQueries({ queryKey: flowsQuery().queryKey });
      await navigate({ to: '/flows/$flowId', params: { flowId: flow.id } });
    },
    onError: (error) => say(messageOf(error), 'bad'),
  });
  return (
    <>
      <input
        ref={file}
        type="file"
        accept="application/json,.json"
        hidden
        onChange={(event) => {
          const [chosen] = event.currentTarget.files ?? [];
          if (chosen !== undefined) imported.mutate(chosen);
          event.currentTarget.value = '';
        }}
      />
      <Button
        icon={Upload}
        isCompact
        isDisabled={missingScope !== undefined || imported.isPending}
        onPress={() => file.current?.click()}
      >
        {text.flows.import}
      </Button>
    </>
  );
}
