"""Two machines on one: network namespaces with a cable between them. Linux, as root or with sudo."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

#: What a test needs of the system is there in CI, where a missing part is a failure.
IN_CI = bool(os.environ.get("CI"))
_SUDO = [] if os.geteuid() == 0 else ["sudo", "-n", "-E"]
_SSHD = next((path for path in ("/usr/sbin/sshd", "/usr/bin/sshd") if os.path.exists(path)), "sshd")
#: Of the machines, on the network between them.
ADDRESSES = {"box": "192.0.2.7", "laptop": "192.0.2.8"}


def missing(what: str, install: str) -> NoReturn:
    """End the test because the system lacks something: as a failure in CI, or as skipped elsewhere."""
    text = f"{what}; on Debian: apt-get install {install}"
    if IN_CI and sys.platform == "linux":
        pytest.fail(text)
    pytest.skip(text)


class Machine:
    """One of the two, with a folder of its own."""

    def __init__(self, name: str, namespace: str, folder: Path, programs: Path) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        runtime = folder / f"run-{name}"
        runtime.mkdir(mode=0o700)
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {
            **os.environ,
            "PATH": path,
            "XDG_RUNTIME_DIR": str(runtime),
            "TMPDIR": str(runtime),
        }
        user = ["sudo", "-n", "-E", "-u", f"#{os.geteuid()}", "env", f"PATH={path}"] if _SUDO else []
        self._inside = [*_SUDO, "ip", "netns", "exec", namespace, *user]

    def run(self, command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of the shell."""
        done = subprocess.run(
            [*self._inside, "sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done

    def start(self, command: str) -> "subprocess.Popen[str]":
        """Start a command of the shell, which the shell becomes."""
        return subprocess.Popen(
            [*self._inside, "sh", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )


@contextmanager
def two_machines(folder: Path) -> Iterator[dict[str, Machine]]:
    """Make `box`, which runs an ssh server, and `laptop`, whose `ssh` and `scp` know it by name."""
    for program, package in (("ip", "iproute2"), ("ssh", "openssh-client"), (_SSHD, "openssh-server")):
        if shutil.which(program) is None:
            missing(f"there is no {program}", package)
    namespaces = {name: f"cellwire-{name}-{os.getpid()}" for name in ADDRESSES}
    cable = {name: f"cw{os.getpid()}{name[0]}" for name in ADDRESSES}
    try:
        for namespace in namespaces.values():
            made = _ip("netns", "add", namespace)
            if made.returncode:
                missing(f"network namespaces cannot be made: {made.stderr.strip()}", "iproute2 and be root")
        _ip("link", "add", cable["box"], "type", "veth", "peer", "name", cable["laptop"], check=True)
        for name, namespace in namespaces.items():
            inside = ("-n", namespace)
            _ip("link", "set", cable[name], "netns", namespace, check=True)
            _ip(*inside, "addr", "add", f"{ADDRESSES[name]}/24", "dev", cable[name], check=True)
            for device in ("lo", cable[name]):
                _ip(*inside, "link", "set", device, "up", check=True)
        programs = _ssh_programs(folder)
        machines = {
            name: Machine(name, namespace, folder, programs) for name, namespace in namespaces.items()
        }
        with _ssh_server(machines["box"], folder):
            yield machines
    finally:
        for namespace in namespaces.values():
            _ip("netns", "delete", namespace)


def _ip(*arguments: str, check: bool = False) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run([*_SUDO, "ip", *arguments], capture_output=True, text=True, timeout=30)
    assert not check or done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
    return done


def _ssh_programs(folder: Path) -> Path:
    """Make keys, and `ssh` and `scp` that use them and the name `box`; return where they are."""
    keys, programs = folder / "keys", folder / "programs"
    keys.mkdir(mode=0o700)
    programs.mkdir()
    for name in ("server", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)]
        subprocess.run(command, check=True, timeout=30)
    (keys / "known").write_text(f"{ADDRESSES['box']} {(keys / 'server.pub').read_text()}")
    (keys / "config").write_text(
        f"Host box\nHostName {ADDRESSES['box']}\nPort 2222\nIdentityFile {keys}/user\nIdentitiesOnly yes\n"
        f"UserKnownHostsFile {keys}/known\nStrictHostKeyChecking no\n"
        "ExitOnForwardFailure yes\nLogLevel ERROR\n"
    )
    for name in ("ssh", "scp"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shutil.which(name)} -F {keys}/config "$@"\n')
        program.chmod(0o755)
    return programs


@contextmanager
def _ssh_server(box: Machine, folder: Path) -> Iterator[None]:
    """Run an ssh server on `box`, where files are relative to its folder."""
    keys = folder / "keys"
    (keys / "sshd").write_text(
        f"Port 2222\nHostKey {keys}/server\nAuthorizedKeysFile {keys}/user.pub\nPidFile none\n"
        f"StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n"
        f"Subsystem sftp internal-sftp -d {box.folder}\n"
    )
    # Where it separates privileges; systems make it when they start the server.
    subprocess.run([*_SUDO, "mkdir", "-p", "/run/sshd"], check=True)
    server = box.start(f"{_SSHD} -D -e -f {keys}/sshd 2>&1")
    assert server.stdout is not None
    try:
        for line in server.stdout:
            if "listening on" in line:
                break
        else:
            pytest.fail("the ssh server does not start")
        yield
    finally:
        server.terminate()
        server.communicate(timeout=30)
