// A whole cellwire frontend for Node.js: launches or attaches, runs cells, keeps a replica, reconnects.
// docs/protocol.md explains each step; `reduce` is the counterpart of protocol/reducer.py.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { decode, encode } from "@msgpack/msgpack";
import { Dealer } from "zeromq";
const newConsole = (dropped = 0) => ({ chunks: [], dropped });
const newNotebook = () => ({ cells: new Map(), order: [], mode: "autorun", runs: [], inputs: [], runner: {}, console: newConsole(), comms: [] });
const reset = (cell, run) => Object.assign(cell, { run, outputs: [], console: newConsole(), error: null, started: 0, duration: 0 });
const staleness = (stale, stale_reason = "", stale_because = []) => ({ stale, stale_reason, stale_because });
export const text = (console, stream) => console.chunks.filter((c) => !stream || c.stream === stream).map((c) => c.text).join("");
// The chunks of a cell's console and its items as they were written: a chunk stands just before an item's id.
export const inOrder = ({ console, outputs }) => [...console.chunks, ...outputs].sort((a, b) => (a.id ?? a.before - 0.5) - (b.id ?? b.before - 0.5));

// Change `notebook` as `event` says; what no longer applies changes nothing.
export function reduce(notebook, event) {
  const known = notebook.cells.get(event.cell);
  const cell = known && known.run === event.run ? known : undefined;
  const named = (ids, change) => ids.forEach((id) => notebook.cells.has(id) && change(notebook.cells.get(id)));
  const written = event.cell === "" ? notebook.console : cell?.console;
  switch (event.type) {
    case "RunAccepted":
    case "RunPlanned": {
      const { run, cells = [] } = event, accepted = notebook.runs.find((r) => r.run === run);
      accepted ? (accepted.cells = cells) : notebook.runs.push({ run, cells });
      return named(cells, (c) => (c.status = "queued"));
    }
    case "RunFinished":
      named(notebook.runs.find((r) => r.run === event.run)?.cells ?? [], (c) => c.status === "queued" && Object.assign(c, { status: "cancelled", stale: true }));
      return void (notebook.runs = notebook.runs.filter((r) => r.run !== event.run));
    case "CellStarted": return void (known && Object.assign(reset(known, event.run), { status: "running", ...staleness(false), started: event.at ?? 0 }));
    case "CellFinished": return void (cell && Object.assign(cell, { status: event.status ?? "ok", duration: event.duration ?? 0, error: event.error ?? null }));
    case "CellSkipped": return void (known && Object.assign(reset(known, event.run), { status: event.status ?? "cancelled", error: event.error ?? null }));
    case "CellsMarked": return named(event.cells, (c) => Object.assign(c, staleness(event.stale ?? true, event.reason, event.because)));
    case "CellsConfigured": return named(event.cells, (c) => (c.disabled = event.disabled ?? false));
    case "CellsDeleted": return void (event.cells.forEach((id) => notebook.cells.delete(id)), (notebook.order = notebook.order.filter((id) => notebook.cells.has(id))));
    case "GraphChanged":
      for (const { id, source = "", revision = 1, defs = [], refs = [], rereads = [], loose = false } of event.cells ?? []) {
        if (!notebook.cells.has(id)) notebook.order.push(id);
        const old = notebook.cells.get(id) ?? reset({ id, status: "idle", ...staleness(false), disabled: false }, 0);
        notebook.cells.set(id, Object.assign(old, { source, revision, defs, refs, rereads, loose }));
      }
      return void (event.order && (notebook.order = event.order));
    case "ModeChanged": return void (notebook.mode = event.mode);
    case "OutputAppended": return void cell?.outputs.push(event.item);
    case "OutputReplaced": return void (cell && (cell.outputs = cell.outputs.map((i) => (i.id === event.item.id ? event.item : i))));
    case "OutputRemoved": return void (cell && (cell.outputs = cell.outputs.filter((i) => i.id !== event.item)));
    case "OutputsCleared": return void (cell && (cell.outputs = []));
    case "ConsoleWritten": return void written?.chunks.push({ stream: event.stream, text: event.text, before: event.before ?? 0 });
    case "ConsoleCleared": return void (written && (written.chunks = written.chunks.filter((c) => c.stream !== event.stream)));
    case "ConsoleTrimmed":
      if (written) written.dropped += event.chars;
      for (let left = event.chars; written && left > 0 && written.chunks.length; ) {
        const chunk = written.chunks[0], characters = [...chunk.text]; // characters, not UTF-16 units
        characters.length <= left ? written.chunks.shift() : (chunk.text = characters.slice(left).join(""));
        left -= characters.length;
      }
      return;
    case "InputRequested": return void notebook.inputs.push(event);
    case "InputClosed": return void (notebook.inputs = notebook.inputs.filter((i) => i.id !== event.id));
    case "CommSent": return void (notebook.comms = [...notebook.comms.filter((c) => event.action !== "close" || c.id !== event.comm), ...(event.action === "open" ? [{ id: event.comm, target: event.target ?? "", cell: event.cell ?? "" }] : [])]);
    case "RunnerStarted": return void (notebook.runner = { condition: "ready", generation: event.generation, pid: event.pid, reason: "" });
    case "RunnerChanged": return void (notebook.runner.condition = event.condition);
    case "RunnerDied": return void (Object.assign(notebook.runner, { condition: "dead", reason: event.reason }), Object.assign(notebook, { inputs: [], comms: [] }));
    case "NotebookRestored": {
      const { mode = "autorun", runs = [], inputs = [], condition = "starting", generation = 0, pid = 0, reason = "", console_dropped = 0, comms = [] } = event;
      return void Object.assign(notebook, { mode, runs, inputs, runner: { condition, generation, pid, reason }, console: newConsole(console_dropped), comms });
    }
    case "CellRestored":
      notebook.cells.set(event.cell.id, { ...event.cell, outputs: [], console: newConsole(event.console_dropped ?? 0) });
      return void notebook.order.push(event.cell.id);
  }
}

export class Kernel {
  notebook = newNotebook();
  dealer = new Dealer({ linger: 1000 });
  #waiting = new Map(); // request id -> its promise and the request, sent again after a reconnect
  #finished = new Map(); // run -> resolve
  #epoch = ""; #seq = 0; #received = 0; #acknowledged = 0; #hello = ""; #coming = null; #quota = 65536;
  static async launch(python = "python3", settings = {}) {
    const child = spawn(python, ["-P", "-m", "cellwire.kernel"], { stdio: ["pipe", "pipe", "inherit"] });
    child.stdin.write(JSON.stringify(settings) + "\n"); // kept open: its end would end the kernel
    for await (const line of createInterface({ input: child.stdout })) return Kernel.#open(JSON.parse(line), child);
    throw new Error("the kernel ended before it was ready");
  }
  static attach = (file) => Kernel.#open(JSON.parse(readFileSync(file, "utf8")));
  static async #open(connection, process = null) {
    const kernel = Object.assign(new Kernel(), { connection, process }), dealer = kernel.dealer;
    const { server_key: serverKey, client } = connection;
    if (serverKey) Object.assign(dealer, { curveServerKey: serverKey, curvePublicKey: client.public, curveSecretKey: client.secret });
    dealer.events.on("handshake", () => kernel.#greet()); // the first connection and every later one
    dealer.connect(connection.endpoint);
    kernel.#receive();
    await new Promise((resolve) => (kernel.welcomed = resolve));
    return kernel;
  }
  #greet() {
    this.#received = this.#acknowledged = 0;
    this.#hello = randomUUID();
    this.dealer.send(encode({ type: "Hello", id: this.#hello, client: "node", epoch: this.#epoch, seq: this.#seq }));
    for (const { request } of this.#waiting.values()) this.dealer.send(encode(request)); // same id: done once
  }
  request(type, fields = {}) {
    const request = { type, id: randomUUID(), ...fields };
    this.dealer.send(encode(request));
    return new Promise((resolve, reject) => this.#waiting.set(request.id, { request, resolve, reject }));
  }
  async run(cells) { // {id: source}; resolves with RunFinished
    const queued = await this.request("RunCells", { cells: Object.entries(cells).map(([id, source]) => ({ id, source })) });
    return new Promise((resolve) => this.#finished.set(queued.run, { ...queued, resolve }));
  }
  async #receive() {
    for await (const [head, ...rest] of this.dealer) {
      const message = decode(head);
      if (message.type !== "Batch" && message.type !== "Snapshot") this.#answer(message);
      else this.#apply(message, [...(message.events ?? []), ...rest.map((frame) => decode(frame))], head.length + rest.reduce((sum, frame) => sum + frame.length, 0));
    }
  }
  #answer(message) {
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.type === "Welcome") this.#quota = Math.min(65536, (message.limits?.window_bytes ?? 1 << 20) / 4);
    if (message.id === this.#hello) this.welcomed();
    else if (message.type === "Error") waiting?.reject(Object.assign(new Error(message.message), message));
    else waiting?.resolve(message);
  }
  #apply(message, events, bytes) {
    if (message.type === "Snapshot") {
      if (message.first) this.#coming = newNotebook();
      events.forEach((event) => reduce(this.#coming, event));
      if (message.last) [this.notebook, this.#epoch, this.#seq] = [this.#coming, message.epoch, message.seq];
      for (const { run, seq, resolve } of message.last ? this.#finished.values() : []) // its end may be in the snapshot
        if (seq <= message.seq && !this.notebook.runs.some((r) => r.run === run)) resolve({ run });
    } else if (message.first_seq > this.#seq + 1) this.#greet(); // a gap: ask for what is missing
    else events.slice(this.#seq + 1 - message.first_seq).forEach((event) => {
      reduce(this.notebook, event);
      this.#seq += 1;
      if (event.type === "KernelClosing") this.closing = true;
      if (event.type === "RunFinished") this.#finished.get(event.run)?.resolve(event);
    });
    this.#received += bytes;
    if (this.#received - this.#acknowledged < this.#quota && !this.closing) return;
    this.#acknowledged = this.#received;
    this.dealer.send(encode({ type: "Acknowledge", received: this.#received }));
  }
  shutdown = () => this.request("Shutdown").then(() => this.dealer.close());
}
