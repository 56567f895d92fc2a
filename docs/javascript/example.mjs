// node example.mjs PYTHON: launches a kernel, follows its events, loses the connection, and goes on.
import { inOrder, Kernel } from "./client.mjs";

const kernel = await Kernel.launch(process.argv[2] ?? "python3");
kernel.on("event", (event) => event.type === "CellFinished" && console.log(`${event.cell} has finished`));

await kernel.run({ a: "x = 1", b: "import cellwire as cw\ncw.output.append('item')\nprint('from b')\nx + 1" });
for (const part of inOrder(kernel.notebook.cells.get("b"))) console.log(part.text ?? part.data["text/plain"]);

const finished = await kernel.run({ a: "x = 1 / 0" });
console.log(finished.status, finished.failed, kernel.notebook.cells.get("a").error.message);

await kernel.close();
