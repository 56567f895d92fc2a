"""`cw.embed` in an ordinary Python process, as of `python notebook.py`."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import PATIENCE


def write(folder: Path, name: str, *cells: str) -> Path:
    path = folder / name
    path.write_text("".join(f"# %% c{number}\n{cell}\n" for number, cell in enumerate(cells)))
    return path


def run(path: Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd="/")


def test_a_script_prints_what_the_notebook_shows(tmp_path: Path) -> None:
    write(
        tmp_path,
        "inner.py",
        "import cellwire as cw\nprint('printed')",
        "for _ in cw.progress_bar(2, title='bar'): pass\n'value'".replace("(2,", "(range(2),"),
        "n = 1",
        "handle = cw.output.append('first')\nhandle.replace('second')\nn + 1",
        "cw.stop(n, 'stopped')",
    )
    script = write(
        tmp_path,
        "main.py",
        "import cellwire as cw\npart = cw.embed('inner.py', n=5)\nprint(part['n'], part.failed)",
        "print(cw.embed('inner.py').outputs['c3'][-1])\nprint(repr(part.output).splitlines()[-1])",
    )
    done = run(script)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "printed"
    assert lines[1].startswith("bar [########################] 2/2")
    assert lines[2:7] == ["'value'", "'first'", "'second'", "6", "'stopped'"]
    assert lines[7] == "5 []"
    assert lines[-2:] == ["{'text/plain': '2'}", "'stopped'"]


def test_errors_awaits_and_nested_notebooks_work_there_too(tmp_path: Path) -> None:
    write(tmp_path, "deep.py", "import asyncio\nawait asyncio.sleep(0)\n'deep'")
    write(tmp_path, "inner.py", "import cellwire as cw\ncw.embed('deep.py')", "1 / 0", "'inner'")
    script = write(
        tmp_path,
        "main.py",
        "import asyncio, cellwire as cw",
        "print(cw.embed('inner.py').failed)",
        "async def main():\n    print((await cw.embed_async('deep.py')).outputs)\nasyncio.run(main())",
    )
    done = run(script)
    assert done.stderr == ""
    assert "'deep'\nTraceback (most recent call last):\n" in done.stdout
    assert f"File \"{tmp_path}/inner.py\", line 5, in cell 'c1'\n    1 / 0" in done.stdout
    assert done.stdout.endswith("'inner'\n['c1']\n'deep'\n{'c0': [{'text/plain': \"'deep'\"}]}\n")


@pytest.mark.parametrize("source", ["while True: pass", "import asyncio\nawait asyncio.sleep(1000)"])
def test_ctrl_c_ends_the_script(tmp_path: Path, source: str) -> None:
    # Cells that do not depend on one that awaits run beside it.
    write(tmp_path, "inner.py", f"print('begun', flush=True)\n{source}\nx = 1", "print('not run', x)")
    script = write(tmp_path, "main.py", "import cellwire as cw\ncw.embed('inner.py')\nprint('not run')")
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE)
    assert "not run" not in output
    assert errors.endswith("KeyboardInterrupt\n")
    assert process.returncode == -signal.SIGINT


def test_a_script_that_embeds_itself_is_an_error(tmp_path: Path) -> None:
    script = write(tmp_path, "main.py", "import cellwire as cw\ncw.embed('main.py')")
    done = run(script)
    assert done.stderr.endswith("ValueError: a notebook cannot embed itself: main.py → main.py\n")
