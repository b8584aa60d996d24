import { useQuery, useQueryClient } from '@tanstack/react-query';
import { ChevronRight, ChevronsUpDown } from 'lucide-react';
import { useState } from 'react';
import { Button as AriaButton } from 'react-aria-components/Button';
import { Dialog, DialogTrigger } from 'react-aria-components/Dialog';
import { Popover } from 'react-aria-components/Popover';

import { portalQuery } from '../api/queries';
import { text } from '../text';
import { PortalForm } from './PortalForm';
import { openPortal, usePortalId } from './portal';

/** The open portal, at the top of the navigation. It opens a field for the id of another one. */
export function PortalSwitch() {
  const portalId = usePortalId();
  const portal = useQuery(portalQuery()).data;
  const client = useQueryClient();
  const [isOpen, setOpen] = useState(false);
  return (
    <DialogTrigger isOpen={isOpen} onOpenChange={setOpen}>
      <AriaButton className="portal">
        <span className="brand">
          <ChevronRight size={16} strokeWidth={2.4} aria-hidden />
        </span>
        <span className="grow">
          <span className="sr">{text.portal.change}: </span>
          <b className="truncate">{portalId}</b>{' '}
          <small className="truncate">
            {portal === undefined
              ? ' '
              : text.portal.place(portal.isLocal ? null : portal.stack, portal.region, portal.timeZone)}
          </small>
        </span>
        <ChevronsUpDown size={14} strokeWidth={1.6} className="muted" aria-hidden />
      </AriaButton>
      <Popover className="popover" placement="bottom start">
        <Dialog className="portal-dialog" aria-label={text.portal.change}>
          <PortalForm
            onOpen={(id) => {
              setOpen(false);
              openPortal(id, client);
            }}
          />
        </Dialog>
      </Popover>
    </DialogTrigger>
  );
}
