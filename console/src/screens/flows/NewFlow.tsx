import { useNavigate } from '@tanstack/react-router';
import { Plus } from 'lucide-react';

import { Button } from '../../components/Button';
import { SCOPES, useMissingScope } from '../../shell/portal';
import { text } from '../../text';

/** Opens the editor with an empty flow. */
export function NewFlow() {
  const navigate = useNavigate();
  const missingScope = useMissingScope(SCOPES.writeFlows);
  return (
    <Button
      look="primary"
      icon={Plus}
      isCompact
      isDisabled={missingScope !== undefined}
      onPress={() => void navigate({ to: '/flows/new' })}
    >
      {text.flows.newFlow}
    </Button>
  );
}
