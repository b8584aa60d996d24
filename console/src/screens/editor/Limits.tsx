import { Button } from '../../components/Button';
import { Note } from '../../components/Note';
import { CONTACT, isAbsent, objectTypeOf, triggerTypeOf, withSetting } from '../../drafts/documents';
import { at, isObject, type Json, listAt, put, textAt } from '../../drafts/json';
import { readNumber } from '../../drafts/operations';
import { editorText as text } from '../../editor-text';
import { useEditor, useFaults } from './context';
import { CriteriaTree } from './CriteriaTree';
import { FaultLines } from './FaultLines';
import { SelectInput, TextInput, TokensInput } from './fields';

const words = text.limits;
const PERIODS = Object.entries(words.period).map(([value, label]) => ({ value, label }));

/** Suppression, goal, tolerance and rate limit. */
export function Limits() {
  const { document, edit } = useEditor();
  const isContactFlow = objectTypeOf(document) === CONTACT;
  return (
    <section className="step" aria-label={words.title}>
      <header className="steph">
        <h2>{words.title}</h2>
      </header>
      <div className="sets">
        {isContactFlow ? <SuppressionLists /> : <SuppressionFilters />}
        {isContactFlow && (
          <div className="set tree">
            <h3>
              {words.goal}
              <small>{words.goalExplanation}</small>
            </h3>
            <CriteriaTree root={['goalFilterBranch']} addLabel={words.addGoal} />
          </div>
        )}
        {triggerTypeOf(document) === 'EVENT_BASED' && <Tolerance />}
        <RateLimit />
      </div>
      {!isAbsent(document.unEnrollmentSetting) && at(document, ['unEnrollmentSetting', 'type']) !== 'NONE' && (
        <Note tone="warn">
          <p>{words.unEnrollment}</p>
          <Button isSmall onPress={() => edit((draft) => withSetting(draft, 'unEnrollmentSetting', undefined))}>
            {words.removeUnEnrollment}
          </Button>
        </Note>
      )}
    </section>
  );
}

function SuppressionLists() {
  const { document, edit } = useEditor();
  const faults = useFaults(['suppressionListIds']);
  const ids = listAt(document, ['suppressionListIds']);
  const shown = ids.map((id) => (typeof id === 'string' ? id : JSON.stringify(id)));
  /** An id that the document has as a number stays one; a new id of digits is a number, as HubSpot writes it. */
  const written = (id: string): Json => ids[shown.indexOf(id)] ?? readNumber(id);
  return (
    <div className="set">
      <h3>
        {words.suppression}
        <small>{words.suppressionLists}</small>
      </h3>
      <TokensInput
        label={words.suppressionLists}
        path={['suppressionListIds']}
        isBad={faults.length > 0}
        values={shown}
        placeholder={words.suppressionListsHint}
        onChange={(next) =>
          edit((draft) => put(draft, ['suppressionListIds'], next.map(written)), 'suppressionListIds')
        }
      />
      <FaultLines faults={faults} />
    </div>
  );
}

function SuppressionFilters() {
  return (
    <div className="set tree">
      <h3>
        {words.suppression}
        <small>{words.suppressionFilters}</small>
      </h3>
      <CriteriaTree root={['suppressionFilterBranch']} addLabel={words.addSuppression} />
    </div>
  );
}

function Tolerance() {
  const { document, edit } = useEditor();
  const faults = useFaults(['criteriaTolerance']);
  const value = document.criteriaTolerance;
  return (
    <div className="set">
      <h3>
        {words.tolerance}
        <small>{words.toleranceExplanation}</small>
      </h3>
      <span className="row">
        <TextInput
          label={words.tolerance}
          path={['criteriaTolerance']}
          isBad={faults.length > 0}
          value={value === undefined || value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value)}
          onChange={(typed) =>
            edit(
              (draft) => withSetting(draft, 'criteriaTolerance', typed === '' ? undefined : readNumber(typed)),
              'criteriaTolerance',
            )
          }
        />
        <span className="muted">{words.minutes}</span>
      </span>
      <FaultLines faults={faults} />
    </div>
  );
}

function RateLimit() {
  const { document, edit } = useEditor();
  const faults = useFaults(['enrollmentRateLimit']);
  const limit = document.enrollmentRateLimit;
  const present = isObject(limit) ? limit : {};
  const count = at(limit, ['count']);
  return (
    <div className="set">
      <h3>
        {words.rate}
        <small>{words.rateExplanation}</small>
      </h3>
      <span className="row">
        <TextInput
          label={words.rateCount}
          path={['enrollmentRateLimit', 'count']}
          isBad={faults.length > 0}
          placeholder={words.noLimit}
          value={count === undefined || count === null ? '' : typeof count === 'string' ? count : JSON.stringify(count)}
          onChange={(typed) =>
            edit(
              (draft) =>
                withSetting(
                  draft,
                  'enrollmentRateLimit',
                  typed === '' ? undefined : { period: 'MINUTE', ...present, count: readNumber(typed) },
                ),
              'enrollmentRateLimit',
            )
          }
        />
        {isObject(limit) && (
          <SelectInput
            label={words.ratePeriod}
            path={['enrollmentRateLimit', 'period']}
            value={textAt(limit, ['period']) ?? ''}
            choices={PERIODS}
            onChange={(period) => edit((draft) => put(draft, ['enrollmentRateLimit', 'period'], period))}
          />
        )}
      </span>
      <FaultLines faults={faults} />
    </div>
  );
}
