import type { ReactNode } from 'react';

import { text } from '../text';
import { Button } from './Button';
import { Modal } from './Modal';

interface ConfirmProps {
  /** The question. */
  title: string;
  isOpen: boolean;
  onClose: () => void;
  /** The words of the button that does it. */
  action: string;
  look: 'primary' | 'danger';
  onConfirm: () => void;
  children: ReactNode;
}

/** Asks before something is done. */
export function Confirm({ title, isOpen, onClose, action, look, onConfirm, children }: ConfirmProps) {
  return (
    <Modal
      title={title}
      role="alertdialog"
      isOpen={isOpen}
      onClose={onClose}
      actions={
        <>
          <Button onPress={onClose}>{text.action.cancel}</Button>
          <Button
            look={look}
            onPress={() => {
              onClose();
              onConfirm();
            }}
          >
            {action}
          </Button>
        </>
      }
    >
      {children}
    </Modal>
  );
}
