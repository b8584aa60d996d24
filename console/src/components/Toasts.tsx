import { X } from 'lucide-react';

import { text } from '../text';
import { Button, IconButton } from './Button';
import { dismiss, useToasts } from './toasts';
import { UserText } from './UserText';

/** The messages, which a screen reader announces. The region exists before its first message. */
export function Toasts() {
  const toasts = useToasts();
  return (
    <div className="toasts" role="status" aria-live="polite">
      {toasts.map(({ id, message, tone, action }) => (
        <div key={id} className={`toast ${tone}`}>
          <UserText className="grow">{message}</UserText>
          {action !== undefined && (
            <Button
              isSmall
              onPress={() => {
                action.run();
                dismiss(id);
              }}
            >
              {action.label}
            </Button>
          )}
          <IconButton icon={X} label={text.action.close} onPress={() => dismiss(id)} />
        </div>
      ))}
    </div>
  );
}
