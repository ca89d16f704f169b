"""Suites that others wrote for ZooKeeper, run as they are."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from .harness import Context, Failure, check, test

# What kazoo's tests need of a server that ours does not have yet: TLS ports, and changes of the membership.
NOT_YET = ("TestSSLClient", "TestReconfig")
# A test that hangs, or the end of many that each wait in vain.
LIMIT_S = 900


@test("suites.kazoo", LIMIT_S + 60, ci=False)
def kazoo(context: Context) -> None:
    """kazoo's own tests, those of its threading handler, against three servers: about 310"""
    context.directory.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "KAZOO_SERVERS": ",".join(context.options.kinds),
        "KAZOO_COMMAND": context.options.command,
        "KAZOO_DIRECTORY": str(context.directory),
        "ZOOKEEPER_VERSION": "3.9.5",
    }
    # It makes some of its tests skip themselves for servers of that version.
    environment.pop("CI", None)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "clients.kazoo_plugin",
        "-p",
        "no:cacheprovider",
        "-q",
        "--tb=short",
    ]
    command += ["-k", " and ".join(f"not {name}" for name in NOT_YET), "--pyargs", "kazoo.tests"]
    log = context.directory / "pytest.txt"
    with log.open("wb") as output:
        run = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    try:
        code = run.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        raise Failure(f"kazoo's tests took longer than {LIMIT_S} s: {tail(log)}") from None
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
    text = log.read_text(errors="replace")
    verdict = re.search(r"^.*\b(\d+) passed\b.* in .*$", text, re.MULTILINE)
    check(code == 0 and verdict, f"kazoo's tests ended with code {code}: {tail(log)}")
    check(int(verdict[1]) >= 300, f"kazoo's tests are about 310: {verdict[0]}")
    context.say(verdict[0])


def tail(log: Path) -> str:
    """The last lines that say something."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if not line.startswith("Connection dropped")]
    return "\n".join(lines[-40:])
