import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { ChevronLeft, Redo2, RotateCcw, Undo2 } from 'lucide-react';
import { type ReactNode, useMemo } from 'react';

import { eventTypesQuery, flowOverviewQuery, portalQuery } from '../../api/queries';
import { Button, IconButton } from '../../components/Button';
import { download } from '../../components/downloads';
import { Modal } from '../../components/Modal';
import { Note } from '../../components/Note';
import { Switch } from '../../components/Switch';
import { Tabs } from '../../components/Tabs';
import { say } from '../../components/toasts';
import { hasTriggers, nameOf, triggerTypeOf, withSetting } from '../../drafts/documents';
import { type JsonObject, write } from '../../drafts/json';
import { editorText as text } from '../../editor-text';
import { useKeys } from '../../shell/keys';
import { SCOPES, useMissingScope, usePortalId } from '../../shell/portal';
import { Screen } from '../../shell/Screen';
import { text as consoleText } from '../../text';
import type { FlowSearch } from '../flows/tabs';
import { FlowSwitch } from '../flows/FlowSwitch';
import { ConflictDialog } from './ConflictDialog';
import { EditorProvider, type EditorState } from './context';
import { Facts } from './Facts';
import { JsonTab } from './JsonTab';
import { Preview } from './Preview';
import { NO_PROPERTIES } from './properties';
import { RevisionsTab } from './RevisionsTab';
import { TriggersTab } from './TriggersTab';
import { useCheck } from './useCheck';
import { type Draft, useDraft } from './useDraft';
import { type Save, useSave } from './useSave';
import { Words } from './Words';

interface EditorProps {
  /** Null: a new flow. */
  flowId: string | null;
  /** The stored document, or the one that a new flow begins with. */
  saved: JsonObject;
  tab: FlowSearch['tab'];
  /** The tab of the enrollments. */
  activity?: ReactNode;
}

/** The editor of one flow. Its state is the flow document itself, which all tabs share. */
export function Editor({ flowId, saved, tab, activity }: EditorProps) {
  const navigate = useNavigate();
  const draft = useDraft(usePortalId(), flowId, saved);
  const { document, edit } = draft;
  const check = useCheck(document);
  const events = useQuery(eventTypesQuery()).data;
  const overview = useInfiniteQuery({ ...flowOverviewQuery(flowId ?? ''), enabled: flowId !== null }).data;
  const missingScope = useMissingScope(SCOPES.writeFlows);
  const save = useSave(flowId, draft, (id) => void navigate({ to: '/flows/$flowId', params: { flowId: id } }));
  const faults = check.last?.faults;
  const isRefused = check.isCurrent && (faults?.length ?? 0) > 0 && document.isEnabled === true;
  const canSave = draft.isChanged && !save.isPending && missingScope === undefined && !isRefused;

  const state = useMemo<EditorState>(() => {
    const showTab = (next: FlowSearch) =>
      flowId === null
        ? void navigate({ to: '/flows/new', search: next })
        : void navigate({ to: '/flows/$flowId', params: { flowId }, search: next });
    return {
      document,
      base: draft.base,
      faults: hasTriggers(document) || triggerTypeOf(document) !== 'EVENT_BASED' ? (faults ?? []) : [],
      edit,
      events: events ?? [],
      propertiesOf: () => NO_PROPERTIES,
      showJson: () => showTab({ tab: 'json' }),
    };
  }, [document, draft.base, faults, edit, events, flowId, navigate]);

  useEditorKeys(draft, state.showJson, () => {
    if (canSave) save.save();
  });

  const noPreview = useNoPreview(document);
  const name = nameOf(document);
  return (
    <EditorProvider value={state}>
      <Screen
        title={text.pageTitle(name)}
        back={
          <Link to="/flows" className="crumb" aria-label={consoleText.flows.back}>
            <ChevronLeft size={16} strokeWidth={1.8} aria-hidden />
          </Link>
        }
        summary={
          draft.isChanged || flowId === null
            ? text.unsaved(draft.revisionId)
            : consoleText.flows.revision(draft.revisionId ?? '')
        }
        actions={
          <>
            {flowId === null ? (
              <Switch
                label={consoleText.flows.toggle(text.pageTitle(name))}
                isOn={document.isEnabled === true}
                onChange={(isOn) => edit((present) => withSetting(present, 'isEnabled', isOn))}
              />
            ) : (
              overview !== undefined && <FlowSwitch flow={overview} />
            )}
            <IconButton icon={Undo2} label={text.undo} isDisabled={!draft.canUndo} onPress={draft.undo} />
            <IconButton icon={Redo2} label={text.redo} isDisabled={!draft.canRedo} onPress={draft.redo} />
            <Button look="quiet" icon={RotateCcw} isCompact isDisabled={!draft.isChanged} onPress={draft.discard}>
              {consoleText.action.discard}
            </Button>
            <Button look="primary" isDisabled={!canSave} onPress={save.save}>
              {consoleText.action.save}
            </Button>
          </>
        }
        bars={
          <>
            <EditorTabs flowId={flowId} tab={tab} name={text.pageTitle(name)} />
            {missingScope !== undefined && draft.isChanged && (
              <Note tone="warn">
                {missingScope} {text.readOnlyFlow}
              </Note>
            )}
            {draft.isRestored && <Note>{text.restored}</Note>}
            {!draft.isKept && <Note tone="warn">{text.notKept}</Note>}
          </>
        }
      >
        {tab === 'activity' ? (
          activity
        ) : tab === 'json' ? (
          <JsonTab flowId={flowId} />
        ) : tab === 'revisions' && flowId !== null ? (
          <RevisionsTab
            flowId={flowId}
            onRestored={() => void navigate({ to: '/flows/$flowId', params: { flowId }, search: {} })}
          />
        ) : (
          <TriggersTab isNew={flowId === null} onReplace={save.allowReplace}>
            <Words
              check={check}
              saved={draft.isChanged ? overview?.explanation : undefined}
              hasTriggers={hasTriggers(document) || triggerTypeOf(document) !== 'EVENT_BASED'}
            />
            <Preview
              document={document}
              because={noPreview}
              isValid={check.isCurrent && check.last?.error === null && check.last.faults.length === 0}
            />
            {flowId !== null && <Facts flow={saved} overview={overview} />}
          </TriggersTab>
        )}
      </Screen>
      <SaveDialogs draft={draft} save={save} flowId={flowId} />
    </EditorProvider>
  );
}

/** Why past events say nothing about the draft; null if they do. */
function useNoPreview(document: JsonObject): string | null {
  const portal = useQuery(portalQuery()).data;
  if (portal?.historyDays === 0) return text.preview.noHistory;
  const type = triggerTypeOf(document);
  if (type === 'MANUAL' || type === 'SCHEDULE') return text.preview.manual;
  return type === 'EVENT_BASED' && !hasTriggers(document) ? text.preview.noTriggers : null;
}

function EditorTabs({ flowId, tab, name }: { flowId: string | null; tab: FlowSearch['tab']; name: string }) {
  const linkTo = (search: FlowSearch) =>
    flowId === null
      ? ({ to: '/flows/new', search } as const)
      : ({ to: '/flows/$flowId', params: { flowId }, search } as const);
  const words = consoleText.flows;
  return (
    <Tabs
      label={name}
      selected={tab ?? 'triggers'}
      tabs={[
        { id: 'triggers', label: text.triggers, link: linkTo({}) },
        ...(flowId === null
          ? []
          : [
              { id: 'activity', label: words.activity, link: linkTo({ tab: 'activity' }) },
              { id: 'revisions', label: words.revisions, link: linkTo({ tab: 'revisions' }) },
            ]),
        { id: 'json', label: words.json, link: linkTo({ tab: 'json' }) },
      ]}
    />
  );
}

function useEditorKeys(draft: Draft, showJson: () => void, save: () => void): void {
  const { undo, redo } = draft;
  const bindings = useMemo(
    () => [
      { keys: 'mod+s', label: text.saveKey, run: save },
      { keys: 'mod+z', label: text.undoKey, run: undo },
      { keys: 'mod+shift+z', label: text.redo, run: redo },
      { keys: 'mod+j', label: text.jsonKey, run: showJson },
    ],
    [save, undo, redo, showJson],
  );
  useKeys(text.triggers, bindings);
}

/** The question to the user if the API refuses to store the draft. */
function SaveDialogs({ draft, save, flowId }: { draft: Draft; save: Save; flowId: string | null }) {
  const { conflict } = save;
  return (
    <>
      {conflict !== null && (
        <ConflictDialog
          conflict={conflict}
          mine={draft.document}
          onClose={save.closeConflict}
          onMerged={(merged) => {
            draft.rebase(conflict.theirs, merged);
            save.closeConflict();
            say(text.conflict.merged);
          }}
          onTake={() => {
            download(`draft-${flowId ?? 'new'}.json`, `${write(draft.document, true)}\n`);
            draft.rebase(conflict.theirs);
            save.closeConflict();
            say(text.conflict.taken(conflict.revision));
          }}
        />
      )}
      <Modal
        title={text.start.confirmTitle}
        role="alertdialog"
        isOpen={save.replaces !== null}
        onClose={save.cancelReplace}
        actions={
          <>
            <Button onPress={save.cancelReplace}>{consoleText.action.cancel}</Button>
            <Button look="primary" onPress={save.confirmReplace}>
              {text.start.confirm}
            </Button>
          </>
        }
      >
        <p>{save.replaces}</p>
        <p>{text.start.notRetroactive}</p>
      </Modal>
    </>
  );
}
