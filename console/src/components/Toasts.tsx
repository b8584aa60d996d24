import { X } from 'lucide-react';

import { text } from '../text';
import { Button, IconButton } from './Button';
import { dismiss, useToasts } from './toasts';

/** The messages, which a screen reader announces. The region exists before its first message. */
export function Toasts() {
  const toasts = useToasts();
  return (
    <div className="toasts" role="status" aria-live="polite">
      {toasts.map(({ id, message, tone, action }) => (
        <div key={id} className={`toast ${tone}`}>
          <span className="grow">{message}</span>
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
