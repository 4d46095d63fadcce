/** Errors of errors that are carried along, and characters of each message. */
const mostCauses = 4;
const mostCharacters = 2000;

/** An error as plain data, so that it can go from one thread to another as text. */
export interface PortableError {
  /** Which class it becomes again: `ImgError`, `TypeError`, `RangeError`, or `Error` with another's name. */
  readonly kind: "img" | "type" | "range" | "other";
  readonly name: string;
  readonly message: string;
  /** What else it carries, as far as it is text or numbers: `code`, `errno`, `syscall`, `path`, `subject`, … */
  readonly details: Readonly<Record<string, string | number>>;
  readonly cause?: PortableError;
}

const carried = ["code", "subject", "feature", "bit", "errno", "syscall", "path", "dest", "address", "port"] as const;

/** What is left of `error` when it leaves its thread. Stacks stay behind; long messages and chains of causes are cut off. */
export function packError(error: unknown, depth: number = 0): PortableError {
  if (!(error instanceof Error)) {
    return { kind: "other", name: "Error", message: cut(String(error)), details: {} };
  }
  const details: Record<string, string | number> = {};
  for (const name of carried) {
    const value: unknown = (error as Error & Readonly<Record<string, unknown>>)[name];
    if (typeof value === "string" || typeof value === "number") {
      details[name] = typeof value === "string" ? cut(value) : value;
    }
  }
  return {
    kind: kindOf(error),
    name: error.name,
    message: cut(error.message),
    details,
    ...(error.cause === undefined || depth === mostCauses ? {} : { cause: packError(error.cause, depth + 1) }),
  };
}

function kindOf(error: Error): PortableError["kind"] {
  // by name, because whoever watches a worker packs errors before anything else can be loaded
  if (error.name === "ImgError") {
    return "img";
  }
  if (error instanceof TypeError) {
    return "type";
  }
  return error instanceof RangeError ? "range" : "other";
}

function cut(text: string): string {
  return text.length > mostCharacters ? `${text.slice(0, mostCharacters)}…` : text;
}
