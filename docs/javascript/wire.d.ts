// Written by make_types.py from docs/schema.json: everything on the wire.

/** The frontend has applied this many bytes of `Batch` and `Snapshot` frames since its `Hello`. */
export interface Acknowledge {
  type: "Acknowledge";
  received: number;
}

/** Consecutive events, the first of which has number `first_seq`.
 *
 *  Each further frame of the same message is one more event, in order. */
export interface Batch {
  type: "Batch";
  first_seq: number;
  events?: (RunAccepted | RunPlanned | RunFinished | CellStarted | CellFinished | CellSkipped | CellsMarked | CellsConfigured | CellsDeleted | GraphChanged | ModeChanged | OutputAppended | OutputReplaced | OutputRemoved | OutputsCleared | ConsoleWritten | ConsoleTrimmed | ConsoleCleared | CommSent | InputRequested | InputClosed | RunnerStarted | RunnerChanged | RunnerDied | KernelClosing | CellRestored | NotebookRestored)[];
}

/** A cell as a frontend submits it. */
export interface Cell {
  id: string;
  source?: string;
  about?: Record<string, unknown>;
  loose?: boolean;
  on?: string;
}

/** Source and static names of one cell; part of `GraphChanged`. */
export interface CellDeclared {
  id: string;
  source?: string;
  revision?: number;
  defs?: string[];
  refs?: string[];
  rereads?: string[];
  loose?: boolean;
  on?: string;
}

/** Why a cell failed, was interrupted or did not run. */
export interface CellError {
  kind: string;
  message: string;
  traceback?: string;
  hint?: string;
  cells?: string[];
  line?: number;
  column?: number;
  end_line?: number;
  end_column?: number;
}

/** The cell's run is over. Its threads may still write until the cell is run again. */
export interface CellFinished {
  type: "CellFinished";
  cell: string;
  run: number;
  status?: "cancelled" | "error" | "idle" | "interrupted" | "ok" | "queued" | "running" | "stopped";
  duration?: number;
  error?: CellError | null;
}

/** Only in snapshots: a cell without its outputs and console, which follow as events. */
export interface CellRestored {
  type: "CellRestored";
  cell: CellState;
  console_dropped?: number;
}

/** The cell ended without running: cancelled, structurally wrong (`error`), or repaired (`idle`).
 *
 *  Everything of its previous run is gone and `run` is its current run. */
export interface CellSkipped {
  type: "CellSkipped";
  cell: string;
  run: number;
  status?: "cancelled" | "error" | "idle" | "interrupted" | "ok" | "queued" | "running" | "stopped";
  error?: CellError | null;
}

/** The cell runs: everything of its previous run is gone and `run` is its current run. */
export interface CellStarted {
  type: "CellStarted";
  cell: string;
  run: number;
  at?: number;
  where?: string;
}

/** One cell as frontends see it. */
export interface CellState {
  id: string;
  source?: string;
  revision?: number;
  status?: "cancelled" | "error" | "idle" | "interrupted" | "ok" | "queued" | "running" | "stopped";
  stale?: boolean;
  disabled?: boolean;
  run?: number;
  outputs?: Item[];
  console?: Console;
  error?: CellError | null;
  started?: number;
  duration?: number;
  defs?: string[];
  refs?: string[];
  stale_reason?: "" | "contested" | "disabled";
  stale_because?: string[];
  rereads?: string[];
  loose?: boolean;
  on?: string;
}

/** Cells were disabled or enabled. */
export interface CellsConfigured {
  type: "CellsConfigured";
  cells: string[];
  disabled?: boolean;
}

/** Cells are gone, with everything they had. */
export interface CellsDeleted {
  type: "CellsDeleted";
  cells: string[];
}

/** Cells became stale, or are no longer stale. */
export interface CellsMarked {
  type: "CellsMarked";
  cells: string[];
  stale?: boolean;
  reason?: "" | "contested" | "disabled";
  because?: string[];
}

/** User code opened or closed a comm, or sent a message over it. */
export interface CommSent {
  type: "CommSent";
  comm: string;
  action?: "close" | "msg" | "open";
  cell?: string;
  target?: string;
  data?: Record<string, unknown>;
  metadata?: Record<string, unknown>;
  buffers?: string[];
}

/** A comm: a two-way channel between an object of user code, such as a widget, and frontends. */
export interface CommState {
  id: string;
  target: string;
  cell: string;
}

/** Ask for completions of `code` at `cursor` (code points). Answer: `Completions`. */
export interface Complete {
  type: "Complete";
  id: string;
  code?: string;
  cursor?: number;
  cell?: string;
}

/** One text that could stand at the cursor. */
export interface Completion {
  text: string;
  kind?: string;
}

/** What could replace `code[start:end]`; both count code points. */
export interface Completions {
  type: "Completions";
  id: string;
  items?: Completion[];
  start?: number;
  end?: number;
}

/** Disable or enable cells. Answer: `RunQueued`. */
export interface ConfigureCells {
  type: "ConfigureCells";
  id: string;
  cells?: string[];
  disabled?: boolean;
}

/** Everything that a frontend needs to attach to a kernel. */
export interface Connection {
  endpoint: string;
  epoch: string;
  pid: number;
  version: string;
  file: string;
  server_key?: string;
  client?: KeyPair | null;
  watcher?: KeyPair | null;
  name?: string;
  notebook?: string;
}

/** What a cell wrote to its standard streams, in order of arrival. */
export interface Console {
  chunks?: ConsoleChunk[];
  dropped?: number;
}

/** Text of one stream, as written: control characters are kept. */
export interface ConsoleChunk {
  stream: "stderr" | "stdout";
  text: string;
  before?: number;
}

/** A stream of the cell's console is empty. */
export interface ConsoleCleared {
  type: "ConsoleCleared";
  cell: string;
  run: number;
  stream: "stderr" | "stdout";
}

/** The oldest `chars` code points of the console are gone: its limit was reached. */
export interface ConsoleTrimmed {
  type: "ConsoleTrimmed";
  cell: string;
  run: number;
  chars: number;
}

/** Text at the end of a stream; `cell` is empty for text that belongs to no cell. */
export interface ConsoleWritten {
  type: "ConsoleWritten";
  cell: string;
  run: number;
  stream: "stderr" | "stdout";
  text: string;
  before?: number;
}

/** Delete cells. Answer: `RunQueued`. */
export interface DeleteCells {
  type: "DeleteCells";
  id: string;
  cells?: string[];
  keep?: boolean;
}

/** The request was carried out. */
export interface Done {
  type: "Done";
  id: string;
}

/** The request was not carried out and changed nothing. */
export interface Error {
  type: "Error";
  id: string;
  code: "busy" | "closing" | "forbidden" | "internal" | "invalid" | "malformed" | "not_greeted" | "runner_unavailable" | "too_large" | "unknown_cell" | "unknown_input" | "unknown_request";
  message: string;
  hint?: string;
}

export type Event = CellFinished | CellRestored | CellSkipped | CellStarted | CellsConfigured | CellsDeleted | CellsMarked | CommSent | ConsoleCleared | ConsoleTrimmed | ConsoleWritten | GraphChanged | InputClosed | InputRequested | KernelClosing | ModeChanged | NotebookRestored | OutputAppended | OutputRemoved | OutputReplaced | OutputsCleared | RunAccepted | RunFinished | RunPlanned | RunnerChanged | RunnerDied | RunnerStarted;

/** Cells are new or have a new source.
 *
 *  New cells stand at the end in the order given, unless `order` gives the order of all cells. */
export interface GraphChanged {
  type: "GraphChanged";
  cells?: CellDeclared[];
  order?: string[] | null;
}

/** Open the session and follow the log, from `(epoch, seq)` if possible. Answer: `Welcome`. */
export interface Hello {
  type: "Hello";
  id: string;
  protocol?: number;
  client?: string;
  epoch?: string;
  seq?: number;
}

/** A frontend provided the text, or user code no longer waits for it. */
export interface InputClosed {
  type: "InputClosed";
  id: string;
}

/** User code waits for a line of text; any frontend may provide it. */
export interface InputRequested {
  type: "InputRequested";
  id: string;
  cell: string;
  prompt?: string;
  password?: boolean;
}

/** Ask what the name at `cursor` (code points) is. Answer: `Inspection`. */
export interface Inspect {
  type: "Inspect";
  id: string;
  code?: string;
  cursor?: number;
  cell?: string;
  detail?: number;
}

/** What a name is, as a mime bundle; empty if it is unknown. */
export interface Inspection {
  type: "Inspection";
  id: string;
  data?: Record<string, unknown>;
}

/** Stop the running cells and drop queued runs. Answer: `Done`. */
export interface Interrupt {
  type: "Interrupt";
  id: string;
}

/** One output item: a mime bundle with an identity.
 *
 *  `data` maps a mime type to text, bytes (images) or a JSON-like value; `text/plain` is always there. */
export interface Item {
  id: number;
  data: Record<string, unknown>;
  metadata?: Record<string, unknown>;
}

/** The kernel ends: acknowledge what you have. No new events follow. */
export interface KernelClosing {
  type: "KernelClosing";
  reason?: string;
}

/** The kernel's counters since its start. */
export interface KernelStatistics {
  type: "KernelStatistics";
  id: string;
  epoch: string;
  seq: number;
  pid: number;
  memory: number;
  ring_bytes: number;
  ring_events: number;
  sessions?: SessionStatistics[];
  malformed?: number;
  refused?: number;
  stuck?: number;
  queued_runs?: number;
}

/** A CURVE key pair, z85 text. */
export interface KeyPair {
  public: string;
  secret: string;
}

/** Bounds of one kernel. */
export interface Limits {
  item_bytes?: number;
  items?: number;
  console_chars?: number;
  ring_bytes?: number;
  window_bytes?: number;
  batch_bytes?: number;
  request_bytes?: number;
  queued_runs?: number;
  stuck_seconds?: number;
  unresponsive_seconds?: number;
  drain_seconds?: number;
  versions?: number;
  exit_seconds?: number;
}

/** Downstream cells run by themselves (`autorun`) or are marked stale (`lazy`). */
export interface ModeChanged {
  type: "ModeChanged";
  mode: "autorun" | "lazy";
}

/** Only in snapshots, first: everything outside cells. Text of its console follows as events. */
export interface NotebookRestored {
  type: "NotebookRestored";
  mode?: "autorun" | "lazy";
  runs?: RunPlanned[];
  inputs?: InputRequested[];
  condition?: "dead" | "ready" | "starting" | "unresponsive";
  generation?: number;
  pid?: number;
  reason?: string;
  console_dropped?: number;
  comms?: CommState[];
}

/** One more item at the end of the cell's list. */
export interface OutputAppended {
  type: "OutputAppended";
  cell: string;
  run: number;
  item: Item;
}

/** The item is gone. */
export interface OutputRemoved {
  type: "OutputRemoved";
  cell: string;
  run: number;
  item: number;
}

/** The item of the same id has new content and keeps its place. */
export interface OutputReplaced {
  type: "OutputReplaced";
  cell: string;
  run: number;
  item: Item;
}

/** The cell's list is empty. */
export interface OutputsCleared {
  type: "OutputsCleared";
  cell: string;
  run: number;
  wait?: boolean;
}

/** Ask for a sign of life. Answer: `Pong`. */
export interface Ping {
  type: "Ping";
  id: string;
}

/** The kernel is alive and this is its newest event. */
export interface Pong {
  type: "Pong";
  id: string;
  seq?: number;
}

/** Give user code its text. Answer: `Done`, or `unknown_input` if another frontend was first. */
export interface ProvideInput {
  type: "ProvideInput";
  id: string;
  input?: string;
  text?: string;
  ended?: boolean;
}

/** Answer user code that waits for text that there is none to be had: it raises. Answer: `Done`. */
export interface RefuseInput {
  type: "RefuseInput";
  id: string;
  input?: string;
}

export type Reply = Completions | Done | Error | Inspection | KernelStatistics | Pong | RunQueued | VariableList | Welcome;

export type Request = Acknowledge | Complete | ConfigureCells | DeleteCells | Hello | Inspect | Interrupt | Ping | ProvideInput | RefuseInput | RestartRunner | RunCells | RunStale | SendComm | SetMode | Shutdown | Statistics | SyncCells | Variables;

/** Replace the runner process; outputs stay, cells become stale. Answer: `Done`. */
export interface RestartRunner {
  type: "RestartRunner";
  id: string;
}

/** The kernel has queued a run for a frontend. */
export interface RunAccepted {
  type: "RunAccepted";
  run: number;
}

/** Submit these cells and run them. Answer: `RunQueued`. */
export interface RunCells {
  type: "RunCells";
  id: string;
  cells?: Cell[];
}

/** Nothing of the run is left to do.
 *
 *  `error` if a cell failed, `interrupted` if it was stopped midway, `dropped` if it never began. */
export interface RunFinished {
  type: "RunFinished";
  run: number;
  status?: "dropped" | "error" | "interrupted" | "ok";
  failed?: string[];
  reason?: string;
}

/** The runner has planned a run: these cells are queued, in this order. */
export interface RunPlanned {
  type: "RunPlanned";
  run: number;
  cells?: string[];
}

/** The run is accepted; it ends with `RunFinished` of the same number. */
export interface RunQueued {
  type: "RunQueued";
  id: string;
  run: number;
  seq?: number;
}

/** Run every stale cell. Answer: `RunQueued`. */
export interface RunStale {
  type: "RunStale";
  id: string;
}

/** The runner does not respond, responds again, or is being replaced. */
export interface RunnerChanged {
  type: "RunnerChanged";
  condition: "dead" | "ready" | "starting" | "unresponsive";
}

/** The runner process has ended; outputs stay. `RunFinished` of every run came before. */
export interface RunnerDied {
  type: "RunnerDied";
  reason: string;
}

/** A runner process is ready. Cells of an earlier runner have lost their values. */
export interface RunnerStarted {
  type: "RunnerStarted";
  generation: number;
  pid: number;
}

/** Open or close a comm, or send a message over it. Answer: `Done`, when user code has dealt with it. */
export interface SendComm {
  type: "SendComm";
  id: string;
  comm?: string;
  action?: "close" | "msg" | "open";
  target?: string;
  data?: Record<string, unknown>;
  metadata?: Record<string, unknown>;
  buffers?: string[];
}

/** One frontend, as the kernel sees it. */
export interface SessionStatistics {
  client: string;
  role: "control" | "watch";
  behind: number;
  unacknowledged: number;
  snapshots: number;
}

/** Choose between autorun and lazy. Answer: `RunQueued`. */
export interface SetMode {
  type: "SetMode";
  id: string;
  mode?: "autorun" | "lazy";
}

/** What a kernel is started with. */
export interface Settings {
  transport?: "ipc" | "tcp";
  connection_file?: string;
  detached?: boolean;
  limits?: Limits;
  redefine?: "allow" | "error" | "live";
  launcher?: number;
  argv?: string[];
  dialect?: "ipython" | "python";
  mode?: "autorun" | "lazy";
  extensions?: string[];
  name?: string;
  notebook?: string;
  address?: string;
}

/** End the kernel. Answer: `Done`, then `KernelClosing` in the log. */
export interface Shutdown {
  type: "Shutdown";
  id: string;
}

/** Events that build the state at `seq` from an empty notebook, in as many messages as it takes.
 *
 *  The message with `first` starts from an empty notebook; after the one with `last` the frontend holds
 *  `(epoch, seq)`.
 *  Further frames are further events, as in `Batch`. */
export interface Snapshot {
  type: "Snapshot";
  epoch: string;
  seq: number;
  first?: boolean;
  last?: boolean;
  events?: (RunAccepted | RunPlanned | RunFinished | CellStarted | CellFinished | CellSkipped | CellsMarked | CellsConfigured | CellsDeleted | GraphChanged | ModeChanged | OutputAppended | OutputReplaced | OutputRemoved | OutputsCleared | ConsoleWritten | ConsoleTrimmed | ConsoleCleared | CommSent | InputRequested | InputClosed | RunnerStarted | RunnerChanged | RunnerDied | KernelClosing | CellRestored | NotebookRestored)[];
}

/** Ask for the kernel's counters. Answer: `KernelStatistics`. */
export interface Statistics {
  type: "Statistics";
  id: string;
}

/** Submit these cells and their order and run nothing. Answer: `RunQueued`. */
export interface SyncCells {
  type: "SyncCells";
  id: string;
  cells?: Cell[];
}

/** One name of the notebook. */
export interface Variable {
  name: string;
  cell?: string;
  type?: string;
  value?: string;
}

/** The notebook's variables, sorted by name. */
export interface VariableList {
  type: "VariableList";
  id: string;
  variables?: Variable[];
}

/** Ask for the notebook's variables. Answer: `VariableList`. */
export interface Variables {
  type: "Variables";
  id: string;
}

/** The session is open; the log follows. */
export interface Welcome {
  type: "Welcome";
  id: string;
  epoch: string;
  seq: number;
  role?: "control" | "watch";
  protocol?: number;
  version?: string;
  limits?: Limits;
}
