"""The runner's life as frontends see it, against a kernel process with a stand-in for its runner."""

import os
import resource
import signal

import pytest
from cellwire.protocol import events as e
from cellwire.protocol import messages as m
from cellwire.protocol.limits import Limits
from support.processes import descriptors_of, wait_until_gone


@pytest.fixture
def kernel(launch):
    return launch()


@pytest.fixture
def frontend(kernel, attach):
    return attach(kernel)


def until_dead(frontend) -> str:
    """Return why the runner died."""
    frontend.until(lambda: frontend.notebook.runner.condition == "dead")
    return frontend.notebook.runner.reason


def test_a_death_finishes_every_run_and_keeps_every_output(frontend):
    good = frontend.run("emit(e.OutputAppended(cell, run, Item(1, {'text/plain': '1'})))", "good")
    frontend.finish(good)
    running = frontend.run(
        "write('last words')\n"
        "while b'Complete' not in runner.control.recv(65536): pass\n"
        "os.kill(os.getpid(), signal.SIGSEGV)\n",
        "bad",
    )
    waiting = frontend.run("1", "never")
    frontend.until(lambda: len(frontend.of(e.CellStarted)) == 2)
    frontend.post(m.Complete, "x", 1)
    reason = until_dead(frontend)
    assert "SIGSEGV" in reason
    assert "Current thread" in reason
    bad = frontend.notebook.cells["bad"]
    assert (bad.status, bad.error.kind, bad.stale) == ("error", "RunnerDied", True)
    assert bad.console.text() == "last words"
    assert frontend.notebook.cells["good"].outputs[0].data == {"text/plain": "1"}
    assert frontend.notebook.cells["good"].stale
    assert (frontend.finish(running).status, frontend.finish(running).failed) == ("error", ["bad"])
    assert frontend.finish(waiting).status == "dropped"
    kinds = [type(event) for event in frontend.events]
    assert kinds.index(e.RunnerDied) > max(i for i, kind in enumerate(kinds) if kind is e.RunFinished)


def test_nothing_written_before_a_death_is_missing(frontend):
    run = frontend.run(
        "for number in range(5000):\n"
        "    emit(e.OutputAppended(cell, run, Item(number, {'text/plain': str(number)})))\n"
        "    write(f'{number}\\n')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert frontend.finish(run).status == "error"
    cell = frontend.notebook.cells["a"]
    assert [item.id for item in cell.outputs] == list(range(5000))
    assert cell.console.text() == "".join(f"{number}\n" for number in range(5000))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("os._exit(7)", "exit status 7"),
        ("os.abort()", "SIGABRT"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "memory"),
        ("runner.connection.close(); time.sleep(3600)", "closed its link"),
        ("runner.control.close(); time.sleep(3600)", "closed its link"),
        ("os.write(runner.connection.fileno(), b'\\xff' * 100); time.sleep(3600)", "claims"),
    ],
)
def test_the_reason_says_how_the_runner_ended(frontend, source, words):
    frontend.run(source)
    assert words in until_dead(frontend)


def test_without_a_runner_runs_are_refused_until_it_is_restarted(frontend):
    frontend.run("os._exit(1)")
    until_dead(frontend)
    refusal = frontend.ask(m.RunCells, [m.Cell("a", "1")])
    assert refusal.code == "runner_unavailable"
    assert "RestartRunner" in refusal.hint
    assert isinstance(frontend.ask(m.RestartRunner), m.Done)
    assert frontend.finish(frontend.run("write('back')")).status == "ok"
    assert frontend.notebook.runner.generation == 2
    assert frontend.notebook.cells["a"].console.text() == "back"


def test_a_runner_that_holds_the_interpreters_lock_is_replaced_on_request(frontend):
    run = frontend.run("sum(iter(int, 1))")
    frontend.until(lambda: frontend.of(e.CellStarted))
    old = frontend.notebook.runner.pid
    frontend.ask(m.RestartRunner)
    after = frontend.run("write('new')", "b")
    frontend.until(lambda: frontend.notebook.runner.generation == 2)
    assert frontend.finish(run).status == "error"
    assert "replaced" in frontend.finish(run).reason
    assert frontend.finish(after).status == "ok", "a run accepted after the restart is for the new runner"
    wait_until_gone(old)
    assert frontend.notebook.cells["a"].source.startswith("sum")
    assert frontend.notebook.cells["a"].stale


def test_a_new_runner_is_configured_with_what_the_old_one_left(frontend):
    frontend.finish(frontend.run("emit(e.RunPlanned(-4), e.RunFinished(-4))", "one"))
    frontend.finish(frontend.run("emit(e.ModeChanged('lazy'), e.CellsConfigured(['one'], True))", "two"))
    frontend.ask(m.RestartRunner)
    frontend.finish(frontend.run("write(repr(runner.configuration))", "three"))
    configuration = frontend.notebook.cells["three"].console.text()
    assert "generation=2" in configuration
    assert "mode='lazy'" in configuration
    assert "last_own_run=-4" in configuration
    assert "disabled=['one']" in configuration
    assert configuration.index("id='one'") < configuration.index("id='two'")


def test_own_runs_of_a_dead_runner_are_finished_too(frontend):
    frontend.run("emit(e.RunPlanned(-1, [cell])); os._exit(1)")
    until_dead(frontend)
    assert frontend.notebook.runs == []
    assert [event.run for event in frontend.of(e.RunFinished)] == [1, -1]


def test_a_runner_that_does_not_respond_is_reported_and_so_is_its_return(launch, attach, tmp_path):
    frontend = attach(launch(limits=Limits(unresponsive_seconds=0.3)))
    os.mkfifo(tmp_path / "gate")
    with open(tmp_path / "gate", "r+b", buffering=0) as gate:
        run = frontend.run(f"open({str(tmp_path / 'gate')!r}).readline()")
        frontend.until(lambda: frontend.notebook.runner.condition == "unresponsive")
        assert isinstance(frontend.ask(m.Ping), m.Pong)
        # Signal 1: the kernel has answered while the runner does not respond.
        gate.write(b"go on\n")
        frontend.finish(run)
    frontend.until(lambda: frontend.notebook.runner.condition == "ready")
    assert [event.condition for event in frontend.of(e.RunnerChanged)] == ["unresponsive", "ready"]


def test_children_of_a_dead_runner_are_gone(frontend):
    frontend.run(
        "import subprocess\nchild = subprocess.Popen(['sleep', '3600'])\nwrite(f'{child.pid}')\nos._exit(1)\n"
    )
    until_dead(frontend)
    wait_until_gone(int(frontend.notebook.cells["a"].console.text()))


def test_many_restarts_leave_no_process_and_no_descriptor(kernel, frontend):
    frontend.finish(frontend.run("1"))
    descriptors = len(os.listdir(f"/proc/{kernel.process.pid}/fd"))
    for generation in range(2, 12):
        frontend.ask(m.RestartRunner)
        frontend.until(lambda: frontend.notebook.runner.generation == generation)  # noqa: B023
    assert len(os.listdir(f"/proc/{kernel.process.pid}/fd")) <= descriptors
    with open(f"/proc/{kernel.process.pid}/task/{kernel.process.pid}/children") as file:
        assert len(file.read().split()) <= 3, "the runner, its guardian, and at most one that just leaves"


def test_a_childs_pipe_comes_over_the_link(frontend):
    run = frontend.run(
        "reading, writing = os.pipe()\n"
        "write('before ')\n"
        "runner.send_pipe(link.PipeOpened(cell, run, 'stdout', 1), reading)\n"
        "mark(markers.Marker('pipe_opened', pipe=1))\n"
        "os.write(writing, b'child ')\n"
        "mark(markers.Marker('pipe_drained', pipe=1))\n"
        "write('after')\n"
    )
    frontend.finish(run)
    assert frontend.notebook.cells["a"].console.text() == "before child after"


def test_a_runner_that_cannot_be_started_is_reported(launch, attach, tmp_path):
    program = tmp_path / "runner"
    program.write_text("#!/bin/sh\nexec sleep 3600\n")
    program.chmod(0o700)
    frontend = attach(launch(command=[str(program)]))
    assert frontend.notebook.runner.condition == "starting"
    program.unlink()
    frontend.ask(m.RestartRunner)
    assert "could not be started" in until_dead(frontend)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux only")
def test_a_run_that_waits_for_a_runner_which_cannot_be_started_is_dropped(kernel, frontend):
    frontend.finish(frontend.run("1"))
    pid = kernel.connection.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors_of(pid), limits[1]))
    restart, waiting = frontend.post(m.RestartRunner), frontend.post(m.RunCells, [m.Cell("a", "1")])
    frontend.reply_to(restart)
    queued = frontend.reply_to(waiting)
    dropped = frontend.finish(queued.run)
    assert (dropped.status, "could not be started" in dropped.reason) == ("dropped", True)
    until_dead(frontend)
    assert frontend.notebook.runs == []
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    frontend.ask(m.RestartRunner)
    frontend.until(lambda: frontend.notebook.runner.condition == "ready")


def test_the_end_of_a_runner_at_its_start_is_reported_with_what_it_wrote(launch, attach):
    frontend = attach(launch(command=["/bin/sh", "-c", "echo no such module >&2; exit 3"]))
    assert "exit status 3" in until_dead(frontend)
    assert frontend.notebook.console.text("stderr") == "no such module\n"


def test_signals_of_the_terminal_do_not_reach_the_kernel(kernel, frontend):
    os.kill(kernel.process.pid, signal.SIGINT)
    assert frontend.finish(frontend.run("1")).status == "ok"
