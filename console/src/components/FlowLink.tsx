import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';

interface FlowLinkProps {
    flowId: string;
    name: string;
    children: ReactNode;
}

/** A link to a flow. */
export function FlowLink({ flowId, name, children }: FlowLinkProps) {
    return (
        <Link className="link" to="/flows" search={{ search: name || flowId }}>
            {children}
        </Link>
    );
}
