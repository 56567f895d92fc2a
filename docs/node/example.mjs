// node example.mjs PYTHON: launches a kernel, runs two cells, loses its connection, and follows on.
import { inOrder, Kernel } from "./frontend.mjs";

const kernel = await Kernel.launch(process.argv[2] ?? "python3");
const shown = (id) => kernel.notebook.cells.get(id).outputs.map((item) => item.data["text/plain"]);

await kernel.run({ a: "x = 1", b: "import cellwire as cw\ncw.output.append('item')\nprint('from b')\nx + 1" });
const parts = inOrder(kernel.notebook.cells.get("b")).map((part) => part.text ?? part.data["text/plain"]);
console.log(JSON.stringify({ step: "run", outputs: shown("b"), parts }));

const finished = kernel.run({ a: "import time; time.sleep(0.2); x = 41", c: "x * 2" });
kernel.dealer.disconnect(kernel.connection.endpoint); // what happens when a connection breaks,
kernel.dealer.connect(kernel.connection.endpoint); // and ZeroMQ makes it again by itself
await finished;
console.log(JSON.stringify({ step: "reconnect", outputs: shown("b"), dependent: shown("c"), order: kernel.notebook.order }));

await kernel.shutdown();
