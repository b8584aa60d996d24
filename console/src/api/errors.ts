/** Failures of requests: what the API answered, or that it did not answer. */

/** One fault of a refused request. `in` is the JSON path or the name of the parameter. */
export interface Fault {
  message: string;
  in: string;
  code: string;
  context: Readonly<Record<string, readonly string[]>>;
}

export class ApiError extends Error {
  /** The HTTP status; 0 if no answer arrived. */
  readonly status: number;
  /** Method and path, for example `PUT /automation/v4/flows/1021`. */
  readonly call: string;
  /** Null if the answer does not have Enroll's envelope, for example because API Gateway refused the request. */
  readonly correlationId: string | null;
  /** For example `VALIDATION_ERROR`. Null if neither Enroll's API nor `enroll console` answered. */
  readonly category: string | null;
  readonly faults: readonly Fault[];
  /** Seconds to wait before the next attempt, if the answer says so. */
  readonly retryAfter: number | null;

  constructor(answer: {
    status: number;
    call: string;
    message: string;
    correlationId?: string | null;
    category?: string | null;
    faults?: readonly Fault[];
    retryAfter?: number | null;
  }) {
    super(answer.message);
    this.name = 'ApiError';
    this.status = answer.status;
    this.call = answer.call;
    this.correlationId = answer.correlationId ?? null;
    this.category = answer.category ?? null;
    this.faults = answer.faults ?? [];
    this.retryAfter = answer.retryAfter ?? null;
  }

  /** Whether the same request may succeed later: no answer, too many requests, or a failure of the server. */
  get isTransient(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

interface Result<Data> {
  data?: Data;
  error?: unknown;
  response: Response;
}

/** Return the content of an answer. Throws ApiError if the API refused the request or did not answer. */
export async function dataOf<Data>(call: string, request: Promise<Result<Data>>): Promise<Data> {
  let result: Result<Data>;
  try {
    result = await request;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError({ status: 0, call, message: error instanceof Error ? error.message : String(error) });
  }
  if (result.response.ok) return result.data as Data;
  throw refused(call, result.response, result.error);
}

function refused(call: string, response: Response, body: unknown): ApiError {
  const envelope: Record<string, unknown> = typeof body === 'object' && body !== null ? { ...body } : {};
  const retryAfter = Number(response.headers.get('Retry-After') ?? Number.NaN);
  return new ApiError({
    status: response.status,
    call,
    message: typeof envelope.message === 'string' ? envelope.message : response.statusText,
    correlationId: typeof envelope.correlationId === 'string' ? envelope.correlationId : null,
    category: typeof envelope.category === 'string' ? envelope.category : null,
    faults: Array.isArray(envelope.errors) ? (envelope.errors as Fault[]) : [],
    retryAfter: Number.isFinite(retryAfter) ? retryAfter : null,
  });
}
