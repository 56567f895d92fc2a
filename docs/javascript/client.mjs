// A client of cellwire kernels for Node.js: it launches or attaches, holds a replica, reconnects, and rejects what
// waits when the kernel has ended. docs/protocol.md explains each step. Events of the EventEmitter:
//   "event"         one event, which has been applied to `kernel.notebook`
//   "connected"     the connection is there, also for the first time
//   "disconnected"  it is lost; requests wait until it is back
//   "closed"        the client has ended, with the error that says why
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { EventEmitter } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { decode, encode } from "@msgpack/msgpack";
import { Dealer } from "zeromq";
import { Replica } from "./notebook.mjs";
export * from "./notebook.mjs";

const PROTOCOL = 1;
/** Seconds that a kernel may take to end when it is asked. */
const END_SECONDS = 10;
const QUOTED = 4000;

/** The kernel has ended, or is not reached any more. */
export class KernelEnded extends Error {
  name = "KernelEnded";
}

/** The kernel refuses a request, which then changed nothing. `code` and `hint` are those of its reply. */
export class RequestRefused extends Error {
  name = "RequestRefused";
  constructor({ code, message, hint = "" }) {
    super(`${message} (${code})${hint && `: ${hint}`}`);
    Object.assign(this, { code, hint });
  }
}

const listed = (cells) =>
  Array.isArray(cells) ? cells : Object.entries(cells).map(([id, source]) => ({ id, source }));

export class Kernel extends EventEmitter {
  #replica = new Replica();
  #dealer = null;
  #child = null;
  #patience = null;
  #waiting = new Map(); // request id -> the request, sent again after a reconnect, and what settles its promise
  #runs = new Map(); // run -> the seq of its acceptance and what settles its promise
  #conditions = new Set(); // what is waited for in the replica
  #hello = "";
  #greeted = false;
  #ended = null;
  connected = false;

  /** Start a kernel with the interpreter `python`; `settings` are those of docs/protocol.md. */
  static async launch(python = "python3", settings = {}, { cwd, env, timeout = 60 } = {}) {
    const child = spawn(python, ["-P", "-m", "cellwire.kernel"], { stdio: ["pipe", "pipe", "pipe"], cwd, env });
    const kernel = new Kernel();
    kernel.#child = child;
    try {
      const connection = await handshake(child, python, settings, timeout);
      await kernel.#open(connection, connection.client, timeout);
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
    child.once("exit", (status, signal) => kernel.#onExit(status, signal));
    if (child.exitCode !== null || child.signalCode !== null) kernel.#onExit(child.exitCode, child.signalCode);
    return kernel;
  }

  /** Attach to the kernel of a connection file, given as its path or content. With `watch` the kernel lets this
   *  client see everything and change nothing (tcp). A lost connection may take `patience` seconds to come back: by
   *  default on tcp as long as it takes, on ipc as long as the kernel's socket accepts connections. `endpoint`
   *  replaces the one in the file, for a tunnel. */
  static async attach(file, { watch = false, patience = null, endpoint = "", timeout = 10 } = {}) {
    const connection = { ...(typeof file === "string" ? JSON.parse(readFileSync(file, "utf8")) : file) };
    if (endpoint) connection.endpoint = endpoint;
    const keys = watch ? connection.watcher : connection.client;
    if (connection.server_key && !keys) throw new Error(`the connection file has no key ${watch ? "watcher" : "client"}`);
    const kernel = new Kernel();
    kernel.#patience = patience;
    await kernel.#open(connection, keys, timeout);
    return kernel;
  }

  /** The copy of the notebook. A snapshot replaces it: read the attribute again after each await. */
  get notebook() {
    return this.#replica.notebook;
  }

  /** The number of the newest event applied. */
  get seq() {
    return this.#replica.seq;
  }

  /** Send a request and return its reply. Rejects with RequestRefused, or KernelEnded. */
  request(type, fields = {}) {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      const request = { type, id: randomUUID(), ...fields };
      this.#waiting.set(request.id, { request, resolve, reject });
      if (this.#greeted) this.#send(request);
    });
  }

  /** Submit `{id: source}` or a list of `Cell`s, run them and what depends on them; resolves with RunFinished. */
  run = (cells) => this.#toTheEnd("RunCells", { cells: listed(cells) });
  /** As `run`, but resolves with RunQueued as soon as the run is queued. */
  queue = (cells) => this.request("RunCells", { cells: listed(cells) });
  runStale = () => this.#toTheEnd("RunStale");
  sync = (cells) => this.#toTheEnd("SyncCells", { cells: listed(cells) });
  delete = (cells, keep = false) => this.#toTheEnd("DeleteCells", { cells, keep });
  configure = (cells, disabled) => this.#toTheEnd("ConfigureCells", { cells, disabled });
  setMode = (mode) => this.#toTheEnd("SetMode", { mode });
  interrupt = () => this.request("Interrupt");
  restartRunner = () => this.request("RestartRunner");
  /** Answer an input request of `notebook.inputs`; null says that there is no more input. */
  provideInput = (input, text) => this.request("ProvideInput", { input, text: text ?? "", ended: text === null });
  complete = (code, cursor = [...code].length, cell = "") => this.request("Complete", { code, cursor, cell });
  inspect = (code, cursor = [...code].length, cell = "") => this.request("Inspect", { code, cursor, cell });
  variables = async () => (await this.request("Variables")).variables;
  ping = () => this.request("Ping");

  /** Resolves when no run of any frontend is queued or in progress. */
  async waitIdle() {
    const { seq } = await this.request("Ping");
    await this.#until(() => this.seq >= seq && this.notebook.runs.length === 0);
  }

  /** End the kernel; resolves when it is gone. */
  async shutdown() {
    const closed = new Promise((resolve) => this.once("closed", resolve));
    await this.request("Shutdown");
    await closed;
  }

  /** End this client, and the kernel if it was launched with it and not `detached`; resolves when that is done. */
  async close() {
    const child = this.#child;
    this.#end(new KernelEnded("this client is closed"));
    if (!child) return;
    child.stdin.end();
    if (child.detachedKernel) return child.unref();
    if (child.exitCode === null && child.signalCode === null) {
      const timer = setTimeout(() => child.kill("SIGKILL"), END_SECONDS * 1000);
      await new Promise((resolve) => child.once("exit", resolve));
      clearTimeout(timer);
    }
  }

  // The connection

  async #open(connection, keys, timeout) {
    this.connection = connection;
    const tcp = connection.endpoint.startsWith("tcp:");
    this.#dealer = new Dealer({ linger: 1000, ...(tcp && { heartbeatInterval: 5000, heartbeatTimeout: 20000, reconnectMaxInterval: 1000 }) });
    if (keys) Object.assign(this.#dealer, { curveServerKey: connection.server_key, curvePublicKey: keys.public, curveSecretKey: keys.secret });
    const { events } = this.#dealer;
    events.on("handshake", () => this.#onConnected());
    events.on("disconnect", () => this.#onDisconnected());
    for (const refused of ["auth", "protocol", "other"])
      events.on(`handshake:error:${refused}`, () => {
        if (!this.#replica.epoch) this.#end(new KernelEnded(`the kernel at ${connection.endpoint} refuses the key, or is another one`));
      });
    this.#dealer.connect(connection.endpoint);
    this.#receive();
    const timer = setTimeout(() => this.#end(new KernelEnded(`no kernel answered at ${connection.endpoint} within ${timeout} s`)), timeout * 1000);
    try {
      await this.#until(() => this.#replica.caughtUp);
    } finally {
      clearTimeout(timer);
    }
  }

  #onConnected() {
    if (this.#ended) return;
    this.connected = true;
    this.#greet();
    this.emit("connected");
  }

  #onDisconnected() {
    if (this.#ended || !this.connected) return;
    this.connected = this.#greeted = false;
    this.emit("disconnected");
    if (this.#replica.closing) this.#end(new KernelEnded(`the kernel has shut down: ${this.#replica.closing.reason}`));
    else if (!this.#child) this.#waitForConnection();
  }

  #waitForConnection() {
    const { endpoint } = this.connection;
    const path = endpoint.startsWith("ipc://") && this.#patience === null ? endpoint.slice("ipc://".length) : null;
    const seconds = this.#patience ?? (path ? 1 : Infinity);
    if (seconds === Infinity) return;
    setTimeout(async () => {
      if (this.connected || this.#ended) return;
      if (path && (await accepts(path))) this.#waitForConnection();
      else this.#end(new KernelEnded(`the connection to the kernel at ${endpoint} is lost`));
    }, seconds * 1000);
  }

  #onExit(status, signal) {
    const how = signal ? `was killed by ${signal}` : `ended with status ${status}`;
    const { closing } = this.#replica;
    const error = new KernelEnded(closing ? `the kernel has shut down: ${closing.reason}` : `the kernel process ${how}${quoted(this.#child)}`);
    // What the kernel sent last may still be on its way through the socket.
    setTimeout(() => this.#end(error), this.connected ? 200 : 20);
  }

  #greet() {
    this.#greeted = false;
    this.#hello = randomUUID();
    const { epoch, seq } = this.#replica;
    this.#send({ type: "Hello", id: this.#hello, protocol: PROTOCOL, client: `node:${process.pid}`, epoch, seq });
  }

  #send(message) {
    // What cannot be sent because the client ends is rejected there.
    this.#dealer.send(encode(message)).catch(() => {});
  }

  #end(error) {
    if (this.#ended) return;
    this.#ended = error;
    this.connected = this.#greeted = false;
    for (const waiting of [...this.#waiting.values(), ...this.#runs.values(), ...this.#conditions]) waiting.reject(error);
    for (const waiting of [this.#waiting, this.#runs, this.#conditions]) waiting.clear();
    this.#dealer?.close();
    this.emit("closed", error);
  }

  // Messages

  async #receive() {
    try {
      for await (const [head, ...rest] of this.#dealer) {
        const message = decode(head);
        if (message.type !== "Batch" && message.type !== "Snapshot") this.#onReply(message);
        else this.#onEvents(message, rest.map((frame) => decode(frame)), head.length + rest.reduce((sum, frame) => sum + frame.length, 0));
        if (this.#ended) return;
      }
    } catch (error) {
      this.#end(error);
    }
  }

  #onReply(message) {
    if (message.type === "Welcome" && message.id === this.#hello) return this.#onWelcome(message);
    if (message.type === "Error") {
      if (message.id === this.#hello) return this.#end(new KernelEnded(message.message));
      // The kernel has dropped this frontend, or its connection was lost: it greets again.
      if (message.code === "not_greeted" || (!message.id && message.code === "busy")) return void (this.#greeted && this.#greet());
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.type === "Error") waiting?.reject(new RequestRefused(message));
    else waiting?.resolve(message);
  }

  #onWelcome(welcome) {
    if (welcome.epoch !== this.connection.epoch) return this.#end(new KernelEnded("the kernel has ended, and another one answers at its address"));
    this.#replica.open(welcome);
    this.#greeted = true;
    for (const { request } of this.#waiting.values()) this.#send(request); // same id: carried out once
    this.#check();
  }

  #onEvents(message, further, bytes) {
    const applied = this.#replica.apply(message, further, bytes);
    if (applied === null) return void (this.#greeted && this.#greet());
    const idle = this.#replica.caughtUp && this.notebook.runs.length === 0;
    // On tcp something goes back while a run is in progress: see docs/protocol.md about tunnels.
    const received = this.#greeted ? this.#replica.acknowledgement(!idle && Boolean(this.connection.server_key)) : null;
    if (received !== null) this.#send({ type: "Acknowledge", received });
    for (const event of applied) {
      if (event.type === "RunFinished") this.#finish(event);
      this.emit("event", event);
    }
    if (message.type === "Snapshot" && message.last) this.#finishSkipped();
    this.#check();
  }

  // Waiting

  async #toTheEnd(type, fields) {
    const { run, seq } = await this.request(type, fields);
    const finished = this.#finished.get(run) ?? this.#outcome(run, seq);
    if (finished) return finished;
    if (this.#ended) throw this.#ended;
    return new Promise((resolve, reject) => this.#runs.set(run, { seq, resolve, reject }));
  }

  #finished = new Map(); // ends of runs whose replies come later than the end

  #finish(event) {
    this.#finished.set(event.run, { status: "ok", failed: [], reason: "", ...event });
    if (this.#finished.size > 4096) this.#finished.delete(this.#finished.keys().next().value);
    this.#runs.get(event.run)?.resolve(this.#finished.get(event.run));
    this.#runs.delete(event.run);
  }

  /** Settle the runs whose ends the snapshot skipped. */
  #finishSkipped() {
    for (const [run, { seq }] of this.#runs) {
      const finished = this.#outcome(run, seq);
      if (finished) this.#finish(finished);
    }
  }

  /** Return how a run ended that is over as far as the replica knows, read from its cells; otherwise undefined. */
  #outcome(run, seq) {
    if (this.seq < seq || this.notebook.runs.some((one) => one.run === run)) return undefined;
    const cells = [...this.notebook.cells.values()].filter((cell) => cell.run === run);
    const failed = cells.filter((cell) => cell.status === "error").map((cell) => cell.id);
    const interrupted = cells.some((cell) => cell.status === "interrupted");
    return { type: "RunFinished", run, status: interrupted ? "interrupted" : failed.length ? "error" : "ok", failed, reason: "" };
  }

  #until(condition) {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      if (condition()) return resolve();
      this.#conditions.add({ condition, resolve, reject });
    });
  }

  #check() {
    for (const waiting of this.#conditions)
      if (waiting.condition()) {
        this.#conditions.delete(waiting);
        waiting.resolve();
      }
  }
}

const quoted = (child) => (child.tail ? `. Its standard error:\n${child.tail.trimEnd()}` : "");

/** Whether a process accepts connections at an ipc socket. */
const accepts = (path) =>
  new Promise((resolve) => {
    const socket = connect(path, () => (socket.destroy(), resolve(true)));
    socket.on("error", () => resolve(false));
  });

/** Give the kernel its settings and return the connection that it answers with. */
function handshake(child, python, settings, timeout) {
  child.tail = "";
  child.detachedKernel = Boolean(settings.detached);
  child.stderr.on("data", (data) => (child.tail = (child.tail + data).slice(-QUOTED)));
  child.stdin.on("error", () => {}); // its end is reported by "exit"
  return new Promise((resolve, reject) => {
    const fail = (what) => reject(new KernelEnded(`${what}${quoted(child)}`));
    const timer = setTimeout(() => fail(`the kernel was not ready within ${timeout} s`), timeout * 1000);
    let line = "";
    child.stdout.on("data", (data) => {
      line += data;
      if (!line.includes("\n")) return;
      clearTimeout(timer);
      try {
        resolve(JSON.parse(line));
      } catch {
        fail(`the kernel process wrote ${JSON.stringify(line.slice(0, 200))} instead of its connection`);
      }
    });
    child.once("error", (error) => (clearTimeout(timer), fail(`${python} cannot be started: ${error.message}`)));
    child.once("close", (status, signal) => {
      clearTimeout(timer);
      fail(`the kernel process ${signal ? `was killed by ${signal}` : `ended with status ${status}`} before it was ready`);
    });
    child.stdin.write(JSON.stringify(settings) + "\n"); // kept open: its end would end the kernel
  });
}
