import { EventEmitter } from "node:events";
import type { Notebook } from "./notebook.js";
import type * as wire from "./wire.js";

export * from "./notebook.js";
export type * as wire from "./wire.js";

/** The kernel has ended, or is not reached any more. */
export class KernelEnded extends Error {}

/** The kernel refuses a request, which then changed nothing. */
export class RequestRefused extends Error {
  readonly code: wire.Error["code"];
  readonly hint: string;
}

/** Sources by id, in notebook order, or cells. */
export type Cells = Record<string, string> | wire.Cell[];
type RequestOf<Type extends wire.Request["type"]> = Omit<Extract<wire.Request, { type: Type }>, "type" | "id">;

interface Events {
  event: [wire.Event];
  connected: [];
  disconnected: [];
  closed: [KernelEnded];
}

export class Kernel extends EventEmitter<Events> {
  private constructor();
  static launch(
    python?: string,
    settings?: wire.Settings,
    options?: { cwd?: string; env?: Record<string, string | undefined>; timeout?: number },
  ): Promise<Kernel>;
  static attach(
    file: string | wire.Connection,
    options?: { watch?: boolean; patience?: number | null; endpoint?: string; timeout?: number },
  ): Promise<Kernel>;

  readonly connection: wire.Connection;
  /** Whether there is a connection; requests wait until it is back. */
  readonly connected: boolean;
  /** The copy of the notebook. A snapshot replaces it: read the attribute again after each await. */
  readonly notebook: Notebook;
  /** The number of the newest event applied. */
  readonly seq: number;

  /** Send any request and return its reply. */
  request<Type extends wire.Request["type"]>(type: Type, fields?: RequestOf<Type>): Promise<wire.Reply>;
  run(cells: Cells): Promise<Required<wire.RunFinished>>;
  queue(cells: Cells): Promise<wire.RunQueued>;
  runStale(): Promise<Required<wire.RunFinished>>;
  sync(cells: Cells): Promise<Required<wire.RunFinished>>;
  delete(cells: string[], keep?: boolean): Promise<Required<wire.RunFinished>>;
  configure(cells: string[], disabled: boolean): Promise<Required<wire.RunFinished>>;
  setMode(mode: "autorun" | "lazy"): Promise<Required<wire.RunFinished>>;
  interrupt(): Promise<wire.Done>;
  restartRunner(): Promise<wire.Done>;
  /** Answer an input request; null says that there is no more input. */
  provideInput(input: string, text: string | null): Promise<wire.Done>;
  complete(code: string, cursor?: number, cell?: string): Promise<wire.Completions>;
  inspect(code: string, cursor?: number, cell?: string): Promise<wire.Inspection>;
  variables(): Promise<wire.Variable[]>;
  ping(): Promise<wire.Pong>;
  /** Resolves when no run of any frontend is queued or in progress. */
  waitIdle(): Promise<void>;
  /** End the kernel; resolves when it is gone. */
  shutdown(): Promise<void>;
  /** End this client, and the kernel if it was launched with it and not `detached`. */
  close(): Promise<void>;
}
