import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';

interface FlowLinkProps {
  flowId: string;
  children: ReactNode;
}

/** A link to a flow. */
export function FlowLink({ flowId, children }: FlowLinkProps) {
  return (
    <Link className="link" to="/flows/$flowId" params={{ flowId }}>
      {children}
    </Link>
  );
}
