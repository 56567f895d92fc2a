// node scenarios.mjs NAME ARGUMENTS: does one thing with a client and writes what it saw, one JSON value a line.
import { once } from "node:events";
import { Kernel, RequestRefused } from "./client.mjs";

const say = (...values) => console.log(JSON.stringify(values.length > 1 ? values : values[0]));
const failure = async (promise) => promise.then(() => say("it did not fail"), (error) => say(error.name, error.message));

const scenarios = {
  async everything(python) {
    const kernel = await Kernel.launch(python, { redefine: "allow" });
    const kinds = [];
    kernel.on("event", (event) => kinds.push(event.type));
    const finished = await kernel.run({ a: "x = 1", b: "x = x + 1", c: "print('c')\nx" });
    const c = kernel.notebook.cells.get("c");
    say([finished.status, c.console.chunks[0].text, c.outputs[0].data["text/plain"]]);
    say((await kernel.run([{ id: "a", source: "1 / 0" }])).failed);
    await kernel.sync({ a: "x = 1" });
    await kernel.runStale();
    say((await kernel.variables()).map((variable) => variable.value));
    say((await kernel.complete("x.bit_c")).items.map((item) => item.text));
    say((await kernel.inspect("len")).data["text/plain"].split("\n")[0]);
    await kernel.queue({ d: "input('?')" });
    while (!kernel.notebook.inputs.length) await once(kernel, "event");
    await kernel.provideInput(kernel.notebook.inputs[0].id, "yes");
    await kernel.waitIdle();
    say(kernel.notebook.cells.get("d").outputs[0].data["text/plain"]);
    await kernel.configure(["d"], true);
    await kernel.setMode("lazy");
    await kernel.delete(["c"]);
    say([kernel.notebook.order, kernel.notebook.cells.get("d").disabled, kernel.notebook.mode]);
    await kernel.delete(["zz"]).catch((error) => say([error instanceof RequestRefused, error.code]));
    const running = kernel.run({ e: "import time; time.sleep(1000)" });
    while (kernel.notebook.cells.get("e")?.status !== "running") await once(kernel, "event");
    await kernel.interrupt();
    say((await running).status);
    await kernel.restartRunner();
    await kernel.shutdown();
    say(["GraphChanged", "ConsoleWritten", "RunFinished", "KernelClosing"].every((kind) => kinds.includes(kind)));
    await failure(kernel.ping());
  },
  async killed(python) {
    const kernel = await Kernel.launch(python);
    const closed = once(kernel, "closed");
    const runs = [kernel.run({ a: "import time; time.sleep(1000)" }), kernel.run({ b: "" }), kernel.waitIdle()];
    process.kill(kernel.connection.pid, "SIGKILL");
    for (const one of runs) await failure(one);
    say((await closed)[0].name, kernel.connected);
    await failure(kernel.run({ c: "" }));
  },
  missing: (python) => failure(Kernel.launch(python)),
  async closed(python) {
    const kernel = await Kernel.launch(python);
    const run = kernel.queue({ a: "import time; time.sleep(1000)" });
    await run;
    await kernel.close();
    await failure(kernel.ping());
    say(kernel.connection.pid);
  },
  async attached(file) {
    const kernel = await Kernel.attach(file);
    kernel.on("disconnected", () => say("disconnected"));
    kernel.on("connected", () => say("connected"));
    say((await kernel.run({ a: "x = 1", b: "x + 1" })).status);
    process.stdin.once("data", async () => {
      const finished = kernel.run({ a: "x = 41" }); // while there is no connection
      await finished;
      say(kernel.notebook.cells.get("b").outputs[0].data["text/plain"]);
      await once(kernel, "closed");
      process.stdin.destroy();
    });
  },
  watching: async (file) => {
    const kernel = await Kernel.attach(file, { watch: true });
    say(kernel.notebook.cells.get("a").outputs[0].data["text/plain"]);
    await failure(kernel.run({ a: "2" }));
    await kernel.close();
  },
  unreachable: (file) => failure(Kernel.attach(file, { timeout: 0.3 })),
};

await scenarios[process.argv[2]](...process.argv.slice(3));
