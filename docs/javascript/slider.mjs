// node slider.mjs PYTHON [PORT]: a page with one slider of ipywidgets, and a cell that follows it.
// The page holds the notebook itself (`notebook.mjs`); this program passes events on to it and moves back.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Kernel } from "./client.mjs";

const kernel = await Kernel.launch(process.argv[2] ?? "python3");
await kernel.run({
  slider: "import ipywidgets\nslider = ipywidgets.IntSlider(3, 0, 100)\nslider",
  square: "slider.value ** 2",
});

const PAGE = `<!doctype html><title>One slider</title>
<input id="slider" type="range" min="0" max="100"> <output id="square"></output>
<script type="module">
  import { newNotebook, reduce } from "./notebook.mjs";
  const notebook = newNotebook(), slider = document.getElementById("slider");
  new EventSource("/events").onmessage = ({ data }) => {
    const event = JSON.parse(data);
    reduce(notebook, event);
    if (event.type === "CommSent") slider.value = event.data.state?.value ?? slider.value;
    document.getElementById("square").textContent = notebook.cells.get("square")?.outputs[0]?.data["text/plain"] ?? "";
  };
  slider.oninput = () => fetch("/move", { method: "POST", body: slider.value });
</script>`;

// What a comm has sent is not kept: the widget is asked for its state on behalf of each new page.
const widget = kernel.notebook.cells.get("slider").outputs[0].data["application/vnd.jupyter.widget-view+json"].model_id;
const tell = (data) => kernel.request("SendComm", { comm: widget, action: "msg", data });

createServer(async (request, response) => {
  if (request.url === "/events") {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const pass = (event) => response.write(`data: ${JSON.stringify(event)}\n\n`);
    for (const cell of kernel.notebook.cells.values()) {
      pass({ type: "CellRestored", cell: { ...cell, outputs: [] } });
      for (const item of cell.outputs) pass({ type: "OutputAppended", cell: cell.id, run: cell.run, item });
    }
    kernel.on("event", pass);
    request.on("close", () => kernel.off("event", pass));
    await tell({ method: "request_state" });
  } else if (request.url === "/move") {
    let body = "";
    for await (const part of request) body += part;
    await tell({ method: "update", state: { value: Number(body) }, buffer_paths: [] });
    response.end();
  } else if (request.url === "/notebook.mjs") {
    response.writeHead(200, { "content-type": "text/javascript" });
    response.end(readFileSync(new URL("./notebook.mjs", import.meta.url)));
  } else {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    response.end(PAGE);
  }
}).listen(Number(process.argv[3] ?? 0), "127.0.0.1", function () {
  console.log(`http://127.0.0.1:${this.address().port}`);
});
process.on("SIGTERM", () => kernel.close().then(() => process.exit()));
