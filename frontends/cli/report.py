"""The report of a run for programs that read test results: JUnit's XML, a suite for each notebook.

Each code cell is a test case. A cell that failed, or was running when the run was stopped, is a failure; a
cell that did not run is skipped, with the reason. What went wrong outside the cells is an error of the suite.
"""

import re
from collections.abc import Iterable
from xml.etree import ElementTree as xml

from ...protocol.notebook import CellError, CellState, Stream
from ..notebook_files.load import SKIPPED
from ..notebook_files.writing import write_whole
from .file_lines import FileLines
from .job import Job, RunOutcome
from .lines import details, summary

#: Characters that XML cannot contain.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_report(path: str, results: Iterable[tuple[Job, RunOutcome]]) -> None:
    """Write the report to `path`."""
    root = xml.Element("testsuites")
    for job, outcome in results:
        suite = xml.SubElement(root, "testsuite", name=job.notebook.path)
        for cell in job.notebook.cells:
            _add_case(suite, job, outcome, cell.id)
        if outcome.reason:
            case = xml.SubElement(suite, "testcase", classname=job.notebook.name, name="(run)", time="0")
            xml.SubElement(case, "error", message=_legal(outcome.reason))
        for count, name in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(count, str(len(suite.findall(f"testcase/{name}"))))
        suite.set("tests", str(len(suite)))
        suite.set("time", f"{sum(float(case.get('time', 0)) for case in suite):.6f}")
    xml.indent(root)
    write_whole(path, xml.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _add_case(suite: xml.Element, job: Job, outcome: RunOutcome, id: str) -> None:
    notebook = job.notebook
    cell = outcome.state.cells.get(id, CellState(id))
    name = _legal(notebook.titles.get(id, id))
    case = xml.SubElement(suite, "testcase", classname=notebook.name, name=name)
    case.set("time", f"{cell.duration:.6f}")
    if line := notebook.first_lines.get(id):
        case.set("file", notebook.path)
        case.set("line", str(line))
    error = cell.error and FileLines(notebook).in_file(id, cell.error)
    match cell.status:
        case "ok" | "stopped":
            pass
        case "error" if job.may_fail(id):
            pass
        case "error" | "interrupted" | "running":
            error = error or CellError("Error", outcome.reason)
            failure = xml.SubElement(case, "failure", type=error.kind, message=_legal(summary(error)))
            failure.text = _legal(details(error))
        case _:
            xml.SubElement(case, "skipped", message=_legal(_why_not_run(job, outcome, id, error)))
    streams: tuple[tuple[str, Stream], ...] = (("system-out", "stdout"), ("system-err", "stderr"))
    for tag, stream in streams:
        if text := cell.console.text(stream):
            xml.SubElement(case, tag).text = _legal(text)


def _why_not_run(job: Job, outcome: RunOutcome, id: str, error: CellError | None) -> str:
    if id in job.tagged(SKIPPED):
        return f"the cell has the tag {SKIPPED}"
    if id in outcome.disabled:
        return f"cell {outcome.disabled[id]!r} is disabled"
    return error.message if error else outcome.reason or "not run"


def _legal(text: str) -> str:
    return _ILLEGAL.sub("�", text)
