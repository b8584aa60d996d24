import { expect, test } from 'vitest';

import { ApiError, dataOf } from '../src/api/errors';
import { isRetried, retryDelayMs } from '../src/api/query-client';
import { messageOf } from '../src/components/states';

const failing = (status: number, error: unknown, headers: Record<string, string> = {}) =>
  dataOf(
    'PUT /automation/v4/flows',
    Promise.resolve({ error, response: new Response(null, { status, headers }) }),
  ).then(
    () => expect.unreachable(),
    (caught: unknown) => caught as ApiError,
  );

test("a refusal has Enroll's message, correlation id and faults", async () => {
  const fault = { message: 'expected a time zone', in: '$.timeZone', code: 'INVALID_OPERAND', context: {} };
  const error = await failing(400, { message: 'refused', correlationId: 'c-1', errors: [fault] });
  expect(error).toMatchObject({ status: 400, message: 'refused', correlationId: 'c-1', faults: [fault] });
});

test("a policy's refusal names the call, because API Gateway's answer says nothing", async () => {
  const error = await failing(403, { message: 'Forbidden' });
  expect(messageOf(error)).toBe('Your AWS policy does not allow PUT /automation/v4/flows.');
});

test('expired credentials show what `enroll console` says, and other 401 answers the words of the page', async () => {
  const message = 'Your AWS credentials have expired: run `aws sso login`, then continue.';
  expect(messageOf(await failing(401, { message, category: 'EXPIRED_CREDENTIALS' }))).toBe(message);
  expect(messageOf(await failing(401, { message: 'Unauthorized' }))).toMatch(/^Your credentials have expired/);
});

test('a refusal of `enroll console` shows its message, not that of a policy', async () => {
  const error = await failing(403, { message: 'started with --read-only', category: 'READ_ONLY' });
  expect(messageOf(error)).toBe('started with --read-only');
});

test('an API that does not answer is transient, and is called three times in all', async () => {
  const error = await dataOf('GET /x', Promise.reject(new TypeError('Failed to fetch'))).catch(
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(ApiError);
  expect([0, 1, 2].map((failures) => isRetried(failures, error as ApiError))).toEqual([true, true, false]);
});

test('Retry-After takes precedence over the usual delays', async () => {
  expect(retryDelayMs(0, await failing(429, {}, { 'Retry-After': '7' }))).toBe(7_000);
  expect(retryDelayMs(1, await failing(503, {}))).toBe(4_000);
});

test('a refused request is not repeated', async () => {
  expect(isRetried(0, await failing(409, {}))).toBe(false);
});
