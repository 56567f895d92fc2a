// Reads histories, one a line: a list of events in base64. Writes the state that each leads to, one a line.
import { createInterface } from "node:readline";
import { decode } from "@msgpack/msgpack";
import { newNotebook, reduce } from "./notebook.mjs";

const plain = (_, value) => (value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value);

for await (const line of createInterface({ input: process.stdin })) {
  const notebook = newNotebook();
  for (const event of JSON.parse(line)) reduce(notebook, decode(new Uint8Array(Buffer.from(event, "base64"))));
  console.log(JSON.stringify({ ...notebook, cells: [...notebook.cells] }, plain));
}
