// The notebook state and the one function that changes it, for browsers and Node.js: this file imports nothing.
// `reduce` is the counterpart of protocol/reducer.py, `Replica` that of protocol/client/replica.py; a test
// compares what both make of the same events. Field names are those of the wire.

const CHUNK_CHARS = 8192; // Python counts code points, and so do the lengths below
const ACKNOWLEDGE_BYTES = 65536;

const newConsole = (dropped = 0) => ({ chunks: [], dropped });
const newRunner = (condition = "starting", generation = 0, pid = 0, reason = "") => ({ condition, generation, pid, reason });
const newCell = (id) => ({
  id, source: "", revision: 0, status: "idle", stale: false, disabled: false, run: 0, outputs: [], console: newConsole(),
  error: null, started: 0, duration: 0, defs: [], refs: [], stale_reason: "", stale_because: [], rereads: [], loose: false, on: "",
});

/** Return the state before the first event. `cells` is a Map in notebook order. */
export const newNotebook = () => ({
  cells: new Map(), order: [], mode: "autorun", runs: [], inputs: [], runner: newRunner(), console: newConsole(), comms: [],
});

/** Return the text of a console, of one stream or of both as it arrived. */
export const text = (console, stream) =>
  console.chunks.filter((chunk) => !stream || chunk.stream === stream).map((chunk) => chunk.text).join("");

/** Return the chunks of a cell's console and its items in the order in which they were written. */
export function inOrder({ console, outputs }) {
  const parts = [];
  let shown = 0;
  for (const chunk of console.chunks) {
    while (shown < outputs.length && outputs[shown].id < chunk.before) parts.push(outputs[shown++]);
    parts.push(chunk);
  }
  return [...parts, ...outputs.slice(shown)];
}

// Rules

const isShort = (text) => text.length <= CHUNK_CHARS || (text.length <= 2 * CHUNK_CHARS && [...text].length <= CHUNK_CHARS);

function write(chunks, stream, text, before) {
  const last = chunks.at(-1);
  if (last?.stream === stream && last.before === before && isShort(last.text + text)) last.text += text;
  else chunks.push({ stream, text, before });
}

function joined(chunks) {
  const result = [];
  for (const { stream, text, before } of chunks) write(result, stream, text, before);
  return result;
}

function trim(console, chars) {
  console.dropped += chars;
  const chunks = console.chunks;
  while (chunks.length) {
    const characters = [...chunks[0].text];
    if (chars < characters.length) {
      if (chars) chunks.splice(0, 2, ...joined([{ ...chunks[0], text: characters.slice(chars).join("") }, ...chunks.slice(1, 2)]));
      return;
    }
    chars -= characters.length;
    chunks.shift();
  }
}

const reset = (cell, run) =>
  Object.assign(cell, { run, outputs: [], console: newConsole(), error: null, started: 0, duration: 0 });
const fresh = { stale: false, stale_reason: "", stale_because: [] };

/** Return the index of an item, or -1; ids grow in order of creation and a replacement keeps its place. */
function indexOf(items, id) {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].id < id) low = middle + 1;
    else high = middle;
  }
  return items[low]?.id === id ? low : -1;
}

const current = (notebook, event) => {
  const cell = notebook.cells.get(event.cell);
  return cell?.run === event.run ? cell : undefined;
};
const consoleOf = (notebook, event) => (event.cell === "" ? notebook.console : current(notebook, event)?.console);
const cellsOf = (notebook, ids) => ids.map((id) => notebook.cells.get(id)).filter((cell) => cell !== undefined);

const rules = {
  RunAccepted: (notebook, { run }) => void notebook.runs.push({ run, cells: [] }),
  RunPlanned(notebook, { run, cells = [] }) {
    const accepted = notebook.runs.find((one) => one.run === run);
    if (accepted) accepted.cells = [...cells];
    else notebook.runs.push({ run, cells: [...cells] });
    for (const cell of cellsOf(notebook, cells)) cell.status = "queued";
  },
  RunFinished(notebook, { run }) {
    // Waiting runs are dropped from the end, so that is looked at first.
    const last = notebook.runs.length - 1;
    const index = notebook.runs[last]?.run === run ? last : notebook.runs.findIndex((one) => one.run === run);
    if (index < 0) return;
    const [{ cells }] = notebook.runs.splice(index, 1);
    // A cell that is still queued never had its turn: it keeps its outputs and stops waiting, unless another
    // run has it too.
    const others = new Set(notebook.runs.flatMap((one) => one.cells));
    for (const cell of cellsOf(notebook, cells))
      if (cell.status === "queued" && !others.has(cell.id)) Object.assign(cell, { status: "cancelled", stale: true });
  },
  CellStarted(notebook, { cell: id, run, at = 0 }) {
    const cell = notebook.cells.get(id);
    if (cell) Object.assign(reset(cell, run), { status: "running", ...fresh, stale_because: [], started: at });
  },
  CellFinished(notebook, event) {
    const { status = "ok", duration = 0, error = null } = event;
    const cell = current(notebook, event);
    if (cell) Object.assign(cell, { status, duration, error });
  },
  CellSkipped(notebook, { cell: id, run, status = "cancelled", error = null }) {
    const cell = notebook.cells.get(id);
    if (cell) Object.assign(reset(cell, run), { status, error });
  },
  CellsMarked(notebook, { cells, stale = true, reason = "", because = [] }) {
    for (const cell of cellsOf(notebook, cells))
      Object.assign(cell, { stale, stale_reason: reason, stale_because: [...because] });
  },
  CellsConfigured(notebook, { cells, disabled = false }) {
    for (const cell of cellsOf(notebook, cells)) cell.disabled = disabled;
  },
  CellsDeleted(notebook, { cells }) {
    for (const id of cells) notebook.cells.delete(id);
    notebook.order = notebook.order.filter((id) => notebook.cells.has(id));
  },
  GraphChanged(notebook, { cells = [], order = null }) {
    for (const { id, source = "", revision = 1, defs = [], refs = [], rereads = [], loose = false, on = "" } of cells) {
      if (!notebook.cells.has(id)) {
        notebook.cells.set(id, newCell(id));
        notebook.order.push(id);
      }
      Object.assign(notebook.cells.get(id), { source, revision, defs, refs, rereads, loose, on });
    }
    if (order === null) return;
    const ids = [...new Set([...order, ...notebook.order])].filter((id) => notebook.cells.has(id));
    notebook.cells = new Map(ids.map((id) => [id, notebook.cells.get(id)]));
    notebook.order = ids;
  },
  ModeChanged: (notebook, { mode }) => void (notebook.mode = mode),
  OutputAppended: (notebook, event) => void current(notebook, event)?.outputs.push({ metadata: {}, ...event.item }),
  OutputReplaced(notebook, event) {
    const items = current(notebook, event)?.outputs ?? [];
    const index = indexOf(items, event.item.id);
    if (index >= 0) items[index] = { metadata: {}, ...event.item };
  },
  OutputRemoved(notebook, event) {
    const items = current(notebook, event)?.outputs ?? [];
    const index = indexOf(items, event.item);
    if (index >= 0) items.splice(index, 1);
  },
  OutputsCleared(notebook, event) {
    const cell = current(notebook, event);
    if (cell) cell.outputs = [];
  },
  ConsoleWritten(notebook, event) {
    const console = consoleOf(notebook, event);
    if (console) write(console.chunks, event.stream, event.text, event.before ?? 0);
  },
  ConsoleTrimmed(notebook, event) {
    const console = consoleOf(notebook, event);
    if (console) trim(console, event.chars);
  },
  ConsoleCleared(notebook, event) {
    const console = consoleOf(notebook, event);
    if (console) console.chunks = joined(console.chunks.filter((chunk) => chunk.stream !== event.stream));
  },
  CommSent(notebook, { comm: id, action = "msg", target = "", cell = "" }) {
    if (action === "open") notebook.comms.push({ id, target, cell });
    else if (action === "close") notebook.comms = notebook.comms.filter((one) => one.id !== id);
  },
  InputRequested: (notebook, { id, cell, prompt = "", password = false }) =>
    void notebook.inputs.push({ id, cell, prompt, password }),
  InputClosed: (notebook, { id }) => void (notebook.inputs = notebook.inputs.filter((one) => one.id !== id)),
  RunnerStarted: (notebook, { generation, pid }) => void (notebook.runner = newRunner("ready", generation, pid)),
  RunnerChanged: (notebook, { condition }) => void (notebook.runner.condition = condition),
  RunnerDied(notebook, { reason }) {
    Object.assign(notebook.runner, { condition: "dead", reason });
    Object.assign(notebook, { inputs: [], comms: [] });
  },
  KernelClosing() {},
  CellRestored(notebook, { cell, console_dropped = 0 }) {
    const restored = { ...newCell(cell.id), ...cell, outputs: [], console: newConsole(console_dropped) };
    notebook.cells.set(cell.id, restored);
    notebook.order.push(cell.id);
  },
  NotebookRestored(notebook, event) {
    const { mode = "autorun", runs = [], inputs = [], comms = [], console_dropped = 0 } = event;
    Object.assign(notebook, { mode, runs: runs.map(({ run, cells = [] }) => ({ run, cells: [...cells] })), comms: [...comms] });
    for (const request of inputs) rules.InputRequested(notebook, request);
    notebook.runner = newRunner(event.condition, event.generation, event.pid, event.reason);
    notebook.console.dropped = console_dropped;
  },
};

/** Change `notebook` as `event` says; what no longer applies, or is not known, changes nothing. */
export function reduce(notebook, event) {
  rules[event.type]?.(notebook, event);
}

/** A copy of the notebook that follows what the kernel sends, without gaps. Pure: no sockets, no clocks. */
export class Replica {
  notebook = newNotebook();
  epoch = "";
  seq = 0;
  /** Set when the kernel has announced its end. */
  closing = null;
  #building = null;
  #built = [];
  #received = 0;
  #acknowledged = 0;
  #quota = ACKNOWLEDGE_BYTES;
  #greeted = Infinity;

  /** Whether this holds every event that the kernel had when it was greeted. */
  get caughtUp() {
    return this.epoch !== "" && this.seq >= this.#greeted;
  }

  /** Begin to count what is received, as the kernel does; call it with each `Welcome`. */
  open(welcome) {
    this.#greeted = welcome.seq;
    this.#quota = Math.min(ACKNOWLEDGE_BYTES, (welcome.limits?.window_bytes ?? 1 << 20) / 4);
    this.#building = null;
    this.#received = this.#acknowledged = 0;
  }

  /** Apply a `Batch` or `Snapshot` of `bytes` bytes with the events of its further frames.
   *  Return the events that were applied, or null if some are missing: then say `Hello` again. */
  apply(message, further = [], bytes = 0) {
    this.#received += bytes;
    const events = [...(message.events ?? []), ...further];
    if (message.type === "Snapshot") return this.#applySnapshot(message, events);
    if (this.#building || message.first_seq > this.seq + 1) return null;
    const applied = events.slice(this.seq + 1 - message.first_seq);
    for (const event of applied) {
      reduce(this.notebook, event);
      if (event.type === "KernelClosing") this.closing = event;
    }
    this.seq += applied.length;
    return applied;
  }

  /** Return the number of bytes to acknowledge if it is time for that, or `atOnce`; otherwise null. */
  acknowledgement(atOnce = false) {
    const open = this.#received - this.#acknowledged;
    if (!atOnce && open < this.#quota && !(this.closing && open)) return null;
    return (this.#acknowledged = this.#received);
  }

  #applySnapshot(part, events) {
    if (part.first) [this.#building, this.#built] = [newNotebook(), []];
    if (!this.#building) return null;
    for (const event of events) reduce(this.#building, event);
    this.#built.push(...events);
    if (!part.last) return [];
    [this.notebook, this.epoch, this.seq, this.#building] = [this.#building, part.epoch, part.seq, null];
    return this.#built;
  }
}
