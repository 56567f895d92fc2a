// What a program in TypeScript writes; the compiler checks it.
import { inOrder, Kernel, RequestRefused, text } from "./client.js";
import { newNotebook, reduce, Replica } from "./notebook.js";

const kernel = await Kernel.launch("python3", { redefine: "allow" }, { cwd: "." });
const finished = await kernel.run({ a: "1 + 1" });
const failed: string[] = finished.failed;
kernel.on("event", (event) => {
  if (event.type === "ConsoleWritten") console.log(event.text, text(kernel.notebook.console));
});
kernel.on("closed", (error) => console.log(error.message));
for (const part of inOrder(kernel.notebook.cells.get("a")!)) "text" in part ? part.text : part.data["text/plain"];
await kernel.request("ProvideInput", { input: "1", text: "yes" });
// @ts-expect-error there is no such request
await kernel.request("Interupt");
const notebook = newNotebook();
reduce(notebook, { type: "ModeChanged", mode: "lazy" });
// @ts-expect-error there is no such mode
reduce(notebook, { type: "ModeChanged", mode: "eager" });
void [failed, RequestRefused, Replica];
