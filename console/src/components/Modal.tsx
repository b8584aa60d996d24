import type { ReactNode } from 'react';
import { Heading, Modal as AriaModal, ModalOverlay } from 'react-aria-components';
import { Dialog } from 'react-aria-components/Dialog';

interface ModalProps {
  title: string;
  isOpen: boolean;
  onClose: () => void;
  children: ReactNode;
  /** Buttons, the main action last. */
  actions?: ReactNode;
  /** `alertdialog`: it asks before something that cannot be undone. */
  role?: 'dialog' | 'alertdialog';
}

/** A dialog in the middle of the page. Escape and a press outside close it. */
export function Modal({ title, isOpen, onClose, children, actions, role = 'dialog' }: ModalProps) {
  return (
    <ModalOverlay className="overlay" isOpen={isOpen} isDismissable onOpenChange={(open) => !open && onClose()}>
      <AriaModal className="modal">
        <Dialog role={role} className="dialog">
          <Heading slot="title">{title}</Heading>
          <div className="dialog-body">{children}</div>
          {actions !== undefined && <footer>{actions}</footer>}
        </Dialog>
      </AriaModal>
    </ModalOverlay>
  );
}
