import type { ReactNode } from 'react';

import { objectTypeName } from '../../components/records';
import { OBJECT_TYPES } from '../../drafts/associations';
import {
  CRITERIA,
  hasTriggers,
  LIST_CRITERIA,
  nameOf,
  objectTypeOf,
  REFINEMENT,
  withObjectType,
  withSetting,
} from '../../drafts/documents';
import { textAt } from '../../drafts/json';
import { editorText as text } from '../../editor-text';
import { useEditor, useFaults } from './context';
import { CriteriaTree } from './CriteriaTree';
import { FaultLines } from './FaultLines';
import { SelectInput, TextInput } from './fields';
import { Limits } from './Limits';
import { ReEnrollment } from './ReEnrollment';
import { StartWhen } from './StartWhen';
import { TriggerGroups } from './TriggerGroups';

interface TriggersTabProps {
  isNew: boolean;
  onReplace: () => void;
  /** What is shown beside the steps. */
  children: ReactNode;
}

/** The steps of HubSpot's article, in its order, on one page. */
export function TriggersTab({ isNew, onReplace, children }: TriggersTabProps) {
  const { document } = useEditor();
  // A flow with a schedule has criteria too. They are shown by their own type.
  const type = textAt(document, [...CRITERIA, 'type']);
  return (
    <div className="edit">
      <div className="steps">
        <Identity isNew={isNew} />
        <StartWhen isNew={isNew} onReplace={onReplace} />
        {type === 'EVENT_BASED' && (
          <>
            <header className="steph">
              <h2>{text.group.title}</h2>
              <small>{text.group.hint}</small>
            </header>
            <TriggerGroups />
            <Refinement />
          </>
        )}
        {type === 'LIST_BASED' && <ListCriteria />}
        <ReEnrollment />
        <Limits />
      </div>
      {/* It scrolls, so the keyboard must reach it. */}
      <aside className="aside" tabIndex={0} aria-label={text.beside}>
        {children}
      </aside>
    </div>
  );
}

function Identity({ isNew }: { isNew: boolean }) {
  const { document, edit } = useEditor();
  const nameFaults = useFaults(['name']);
  const typeFaults = useFaults(['objectTypeId']);
  const objectTypeId = objectTypeOf(document);
  return (
    <section className="step identity" aria-label={text.name}>
      <label>
        <span className="eyebrow">{text.name}</span>
        <TextInput
          label={text.name}
          path={['name']}
          isBad={nameFaults.length > 0}
          value={nameOf(document)}
          onChange={(name) => edit((draft) => withSetting(draft, 'name', name), 'name')}
        />
      </label>
      {isNew && (
        <label>
          <span className="eyebrow">{text.forObject}</span>
          <SelectInput
            label={text.forObject}
            path={['objectTypeId']}
            value={objectTypeId}
            choices={OBJECT_TYPES.map((id) => ({ value: id, label: objectTypeName(id) }))}
            onChange={(id) => edit((draft) => withObjectType(draft, id))}
          />
        </label>
      )}
      <FaultLines faults={[...nameFaults, ...typeFaults]} />
    </section>
  );
}

function Refinement() {
  const { document } = useEditor();
  const object = objectTypeName(objectTypeOf(document));
  return (
    <section className="step" aria-label={text.filters.title(object)}>
      <header className="steph">
        <h2>{text.filters.title(object)}</h2>
        <small>{text.filters.hint}</small>
      </header>
      {hasTriggers(document) ? (
        <CriteriaTree root={REFINEMENT} />
      ) : (
        <p className="group later muted">{text.filters.firstTrigger}</p>
      )}
    </section>
  );
}

function ListCriteria() {
  const { document } = useEditor();
  const object = objectTypeName(objectTypeOf(document));
  return (
    <section className="step" aria-label={text.filters.criteriaTitle(object)}>
      <header className="steph">
        <h2>{text.filters.criteriaTitle(object)}</h2>
        <small>{text.filters.criteriaHint}</small>
      </header>
      <CriteriaTree root={LIST_CRITERIA} />
    </section>
  );
}
