import { Plus } from 'lucide-react';

import { Button } from '../../components/Button';
import {
  andBranch,
  objectTypeOf,
  propertyFilter,
  RE_ENROLL,
  RE_ENROLLMENT,
  triggerTypeOf,
} from '../../drafts/documents';
import { at, insert, isSame, type Json, listAt, type Path, put, remove, textAt, writePath } from '../../drafts/json';
import { editorText as text } from '../../editor-text';
import { useEditor, useFaults } from './context';
import { newFilter } from './CriteriaTree';
import { FaultLines } from './FaultLines';
import { FilterRow } from './FilterRow';
import { focusPath } from './focusing';
import { ChoiceCard } from './StartWhen';
import { GroupMenu, isNewIn, Or } from './TriggerGroups';

/** Whether a record enters again, and by which triggers if the flow is filter-based. */
export function ReEnrollment() {
  const { document, edit } = useEditor();
  const isFilterBased = triggerTypeOf(document) === 'LIST_BASED';
  const again = at(document, RE_ENROLL) === true;
  const faults = useFaults(RE_ENROLL);
  const triggers = listAt(document, RE_ENROLLMENT);
  const set = (value: boolean) => edit((draft) => put(draft, RE_ENROLL, value));
  return (
    <section className="step" aria-label={text.reEnroll.title}>
      <header className="steph">
        <h2>{text.reEnroll.title}</h2>
      </header>
      <div className="choices" role="radiogroup" aria-label={text.reEnroll.title}>
        <ChoiceCard
          isChosen={!again}
          label={text.reEnroll.no}
          detail={text.reEnroll.noDetail}
          onChoose={() => set(false)}
        />
        <ChoiceCard
          isChosen={again}
          label={isFilterBased ? text.reEnroll.yesTriggers : text.reEnroll.yes}
          detail={isFilterBased ? text.reEnroll.yesTriggersDetail : text.reEnroll.yesDetail}
          onChoose={() => set(true)}
        />
      </div>
      <FaultLines faults={faults} />
      {isFilterBased && (again || triggers.length > 0) && <ReEnrollmentTriggers triggers={triggers} />}
    </section>
  );
}

const equals = (value: string) => ({
  operationType: 'ENUMERATION',
  operator: 'IS_ANY_OF',
  values: value === '' ? [] : [value],
  includeObjectsWithNoValueSet: false,
});

function ReEnrollmentTriggers({ triggers }: { triggers: readonly Json[] }) {
  const { edit } = useEditor();
  const faults = useFaults(
    RE_ENROLLMENT,
    triggers.map((_, index) => [...RE_ENROLLMENT, index]),
  );
  function add(filters: readonly Json[], field: string): void {
    edit((document) => insert(document, RE_ENROLLMENT, andBranch(filters)));
    focusPath(writePath([...RE_ENROLLMENT, triggers.length, 'filters', 0, ...field.split('.')]));
  }
  return (
    <div className="crit">
      {triggers.length === 0 && <p className="muted">{text.reEnroll.noTriggers}</p>}
      {triggers.map((trigger, index) => (
        <div key={index} className="alternative">
          {index > 0 && <Or />}
          <ReEnrollmentTrigger trigger={trigger} index={index} count={triggers.length} />
        </div>
      ))}
      <FaultLines faults={faults} />
      <div className="row">
        <Button icon={Plus} onPress={() => add([propertyFilter('hs_name', equals(''))], 'operation.value')}>
          {text.reEnroll.addChange}
        </Button>
        <Button icon={Plus} onPress={() => add([newFilter()], 'property')}>
          {text.reEnroll.addCriteria}
        </Button>
      </div>
    </div>
  );
}

const CHANGE_PROPERTIES = ['hs_name', 'hs_value', 'hs_previous_value'];

function ReEnrollmentTrigger({ trigger, index, count }: { trigger: Json; index: number; count: number }) {
  const { base, edit, document, events } = useEditor();
  const path: Path = [...RE_ENROLLMENT, index];
  const filters = listAt(trigger, ['filters']);
  const faults = useFaults(
    path,
    filters.map((_, row) => [...path, 'filters', row]),
  );
  const isChange = filters.some((filter) => CHANGE_PROPERTIES.includes(textAt(filter, ['property']) ?? ''));
  const has = (property: string): boolean => filters.some((filter) => isSame(at(filter, ['property']), property));
  const name = text.reEnroll.trigger(index + 1);
  const subject = isChange
    ? ({ kind: 'event', event: events.find((event) => event.eventType === 'crm.property_changed') } as const)
    : ({ kind: 'record', objectTypeId: objectTypeOf(document) } as const);
  const add = (filter: Json, field: string): void => {
    edit((draft) => insert(draft, [...path, 'filters'], filter));
    focusPath(writePath([...path, 'filters', filters.length, ...field.split('.')]));
  };
  return (
    <div className={`group ${isNewIn(base, path, trigger) ? 'changed' : ''}`} role="group" aria-label={name}>
      <div className="rules with-menu">
        <div className="branch">
          {filters.map((filter, row) => (
            <FilterRow
              key={row}
              path={[...path, 'filters', row]}
              filter={filter}
              subject={subject}
              joint={row === 0 ? text.group.where : text.group.and}
              onRemove={() => edit((draft) => remove(draft, [...path, 'filters', row]))}
            />
          ))}
          <FaultLines faults={faults} />
          <div className="add-rule">
            {isChange ? (
              <>
                {!has('hs_value') && (
                  <Button
                    isSmall
                    look="quiet"
                    icon={Plus}
                    onPress={() => add(propertyFilter('hs_value', equals('')), 'operation.value')}
                  >
                    {text.reEnroll.addValue}
                  </Button>
                )}
                {!has('hs_previous_value') && (
                  <Button
                    isSmall
                    look="quiet"
                    icon={Plus}
                    onPress={() => add(propertyFilter('hs_previous_value', equals('')), 'operation.value')}
                  >
                    {text.reEnroll.addPreviousValue}
                  </Button>
                )}
              </>
            ) : (
              <Button isSmall look="quiet" icon={Plus} onPress={() => add(newFilter(), 'property')}>
                {text.filters.addProperty}
              </Button>
            )}
          </div>
        </div>
        <span className="group-menu">
          <GroupMenu list={RE_ENROLLMENT} index={index} count={count} name={name} />
        </span>
      </div>
    </div>
  );
}
