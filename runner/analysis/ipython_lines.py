"""Lines that IPython understands and Python does not, and what to write instead.

Only for the text of an error: whether a line is IPython's is asked after Python has rejected it.
"""

import re

_ASSIGNED = re.compile(r"\s*(?P<name>[\w, ]+?)\s*=\s*(?P<rest>[!%].*)")
_HELP = re.compile(r"\s*(?:\?{1,2}\s*(?P<before>[\w.]+)|(?P<after>[\w.]+)\s*\?{1,2})\s*;?\s*$")
#: Characters of a line that are quoted.
_LONGEST = 60
_INSTEAD = {
    "cd": "call `os.chdir(...)`",
    "conda": "install packages in a terminal",
    "env": "use `os.environ`",
    "load_ext": "leave it out",
    "matplotlib": "leave it out: figures are shown without it",
    "pip": "install packages in a terminal",
    "pylab": "import what the notebook uses",
    "run": "call `runpy.run_path(...)`, or import the file",
    "time": "take the difference of two `time.perf_counter()`",
    "timeit": "call `timeit.timeit(lambda: ..., number=...)`",
}
_PROGRAMS = frozenset({"bash", "script", "sh", "system", "sx"})


def hint(source: str, number: int) -> str:
    """Return what to write instead of line `number`, from 1, of a `source` that Python has rejected.

    Empty if the line is not IPython's.
    """
    lines = source.split("\n")
    first = source.lstrip().split("\n", 1)[0]
    if first.startswith("%%"):
        # What follows is another language, and an error may be anywhere in it.
        return _magic(first.rstrip(), first[2:].split(" ", 1)[0])
    line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    assigned = _ASSIGNED.match(line)
    command = assigned["rest"] if assigned else line
    if re.match(r"!\s*\w", command):
        call = f"subprocess.run({command.strip('! ')!r}, shell=True"
        if assigned:
            call += ", capture_output=True, text=True).stdout.splitlines("
        return f"`{_short(line)}` is IPython's; write `import subprocess` and `{call})`"
    if re.match(r"%\w", command):
        return _magic(line, command[1:].split(" ", 1)[0])
    help = _HELP.match(line)
    if help is not None:
        return f"`{_short(line)}` is IPython's; write `help({help['before'] or help['after']})`"
    return ""


def _magic(line: str, name: str) -> str:
    program = "call `subprocess.run(...)`" if name in _PROGRAMS else "write what it does in Python"
    return f"`{_short(line)}` is a magic command of IPython; {_INSTEAD.get(name, program)}"


def _short(line: str) -> str:
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"
