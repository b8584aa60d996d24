/** Icons of the event categories (`category` in the catalog). */

import {
  BriefcaseBusiness,
  Calendar,
  Database,
  FileText,
  Globe,
  List,
  ListOrdered,
  type LucideIcon,
  Mail,
  Megaphone,
  Phone,
  ScrollText,
  Workflow,
} from 'lucide-react';

const ICONS: Readonly<Record<string, LucideIcon>> = {
  ads: Megaphone,
  calls: Phone,
  crm: Database,
  email: Mail,
  forms: ScrollText,
  lists: List,
  meetings: Calendar,
  sales_documents: FileText,
  sequences: ListOrdered,
  website: Globe,
  workflows: Workflow,
};

/** The icon of a category, in its tile. `category` undefined: a flow without an event trigger. */
export function CategoryIcon({ category }: { category: string | undefined }) {
  const Icon = (category === undefined ? undefined : ICONS[category]) ?? BriefcaseBusiness;
  return (
    <span className="tile" aria-hidden="true">
      <Icon size={15} strokeWidth={1.6} />
    </span>
  );
}

/** The category of an event type: `website` for `website.page_visited`. */
export const categoryOf = (eventType: string): string => eventType.split('.', 1)[0] ?? eventType;
