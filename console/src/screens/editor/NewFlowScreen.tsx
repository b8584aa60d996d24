import { useSearch } from '@tanstack/react-router';
import { useState } from 'react';

import { newDocument } from '../../drafts/documents';
import { Editor } from './Editor';

/** A flow that is not stored yet. */
export default function NewFlowScreen() {
  const { tab } = useSearch({ from: '/flows/new' });
  const [document] = useState(() => newDocument(''));
  return <Editor flowId={null} saved={document} tab={tab} />;
}
