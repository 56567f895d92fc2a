import type * as wire from "./wire.js";

/** One cell as frontends see it: every field is there. */
export type CellState = Required<Omit<wire.CellState, "console" | "outputs" | "error">> & {
  console: Console;
  outputs: Item[];
  error: wire.CellError | null;
};
export type Item = Required<wire.Item>;
export type ConsoleChunk = Required<wire.ConsoleChunk>;
export interface Console {
  chunks: ConsoleChunk[];
  /** Characters dropped from the front because the limit was reached. */
  dropped: number;
}

/** The whole state that the frontends of one kernel share. */
export interface Notebook {
  /** In notebook order. */
  cells: Map<string, CellState>;
  order: string[];
  mode: "autorun" | "lazy";
  /** Runs accepted and not finished, oldest first. */
  runs: { run: number; cells: string[] }[];
  inputs: { id: string; cell: string; prompt: string; password: boolean }[];
  runner: { condition: "starting" | "ready" | "unresponsive" | "dead"; generation: number; pid: number; reason: string };
  console: Console;
  comms: wire.CommState[];
}

/** Return the state before the first event. */
export function newNotebook(): Notebook;
/** Change `notebook` as `event` says; what no longer applies, or is not known, changes nothing. */
export function reduce(notebook: Notebook, event: wire.Event): void;
/** Return the text of a console, of one stream or of both as it arrived. */
export function text(console: Console, stream?: "stdout" | "stderr"): string;
/** Return the chunks of a cell's console and its items in the order in which they were written. */
export function inOrder(cell: Pick<CellState, "console" | "outputs">): (ConsoleChunk | Item)[];

/** A copy of the notebook that follows what the kernel sends, without gaps. */
export class Replica {
  readonly notebook: Notebook;
  readonly epoch: string;
  readonly seq: number;
  /** Set when the kernel has announced its end. */
  readonly closing: wire.KernelClosing | null;
  /** Whether this holds every event that the kernel had when it was greeted. */
  readonly caughtUp: boolean;
  /** Begin to count what is received; call it with each `Welcome`. */
  open(welcome: wire.Welcome): void;
  /** Return the events that were applied, or null if some are missing: then say `Hello` again. */
  apply(message: wire.Batch | wire.Snapshot, further?: wire.Event[], bytes?: number): wire.Event[] | null;
  /** Return the number of bytes to acknowledge if it is time for that, or `atOnce`; otherwise null. */
  acknowledgement(atOnce?: boolean): number | null;
}
