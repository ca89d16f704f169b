"""Suites that others wrote for ZooKeeper, run as they are."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from .ensemble import JAVA_COMMAND
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
    command = [sys.executable, *"-m pytest -p clients.kazoo_plugin -p no:cacheprovider -q --tb=short".split()]
    command += ["-k", " and ".join(f"not {name}" for name in NOT_YET), "--pyargs", "kazoo.tests"]
    text = run_to_end(command, environment, context.directory / "pytest.txt", Path.cwd())
    verdict = re.search(r"^.*\b(\d+) passed\b.* in .*$", text, re.MULTILINE)
    check(verdict, "kazoo's tests have no last line")
    check(int(verdict[1]) >= 300, f"kazoo's tests are about 310: {verdict[0]}")
    context.say(verdict[0])


GO_PATH = "/usr/share/gocode"
GO_PACKAGE = "github.com/samuel/go-zookeeper/zk"
TRIES = 3
# Tests of the Go client that a right server need not, or cannot, pass.
GO_SKIPS = {
    # Expects getACL to need no permission, as before 3.5.
    "TestAuth",
    # They panic in the client itself since Go 1.18.
    "TestEncodeShortBuffer",
    "TestDecodeShortBuffer",
}
# Its helper waits for servers whose `srvr` fits a pattern, and none since 3.5 has that text. This asks without one.
GO_ASKS, GO_ASKS_PLAINLY = "_, ok := FLWSrvr(serverAddrs, time.Second)", "ok := serving(serverAddrs)"
GO_SERVING = """
func serving(addresses []string) bool {
	for _, address := range addresses {
		answer, err := fourLetterWord(address, "srvr", time.Second)
		if err != nil || !strings.Contains(string(answer), "Mode: ") {
			return false
		}
	}
	return true
}
"""


@test("suites.go", LIMIT_S + 60, ci=False)
def go(context: Context) -> None:
    """the tests of Debian's Go client, which start, kill and restart servers: about 30"""
    source = Path(GO_PATH, "src", GO_PACKAGE)
    check(
        source.exists() and shutil.which("go"),
        "no Go client: run `apt-get install golang-go golang-github-samuel-go-zookeeper-dev`",
    )
    work = context.directory.resolve()
    (work / "bin").mkdir(parents=True)
    # The client's helper starts `java -jar JAR server CFG`; this stands before the real one on the path.
    server = JAVA_COMMAND.replace("java {properties}", shutil.which("java"))
    server = (server if context.options.kinds[0] == "java" else context.options.command).replace("{cfg}", '"$4"')
    script = work / "bin" / "java"
    script.write_text(f"#!/bin/sh\nexec {server}\n")
    script.chmod(0o755)
    helper = (source / "server_help.go").read_text()
    check(GO_ASKS in helper, "server_help.go is not the one that this test knows")
    (work / "server_help.go").write_text(helper.replace(GO_ASKS, GO_ASKS_PLAINLY) + GO_SERVING)
    overlay = work / "overlay.json"
    overlay.write_text(json.dumps({"Replace": {str(source / "server_help.go"): str(work / "server_help.go")}}))
    path = f"{work / 'bin'}:{os.environ['PATH']}"
    cache = str(Path(os.environ.get("CARGO_TARGET_DIR", "target")).resolve() / "clients-go")
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": GO_PATH, "GOCACHE": cache, "PATH": path}
    binary = str(work / "zk.test")
    command = ["go", "test", "-c", "-overlay", str(overlay), "-o", binary, GO_PACKAGE]
    subprocess.run(command, env=environment, check=True, timeout=LIMIT_S)
    listed = subprocess.run([binary, "-test.list", ".*"], capture_output=True, text=True, check=True, timeout=60)
    names = [name for name in listed.stdout.split() if name.startswith("Test") and name not in GO_SKIPS]
    # These tests wait by sleeping, and read at one server what was written at another a moment ago: what fails is tried
    # again.
    missing, said = names, set()
    for number in range(TRIES):
        wanted = f"^({'|'.join(missing)})$"
        log = work / f"go{number + 1}.txt"
        text = run_to_end([binary, "-test.v", "-test.run", wanted], environment, log, work, codes=(0, 1))
        said |= set(re.findall(r"^--- (?:PASS|SKIP): (\w+)", text, re.MULTILINE))
        missing = [name for name in names if name not in said]
        context.say(
            f"{len(said)} of {len(names)} tests have passed" + (f", not {' '.join(missing)}" if missing else "")
        )
        if not missing:
            return
    raise Failure(f"{missing} failed {TRIES} times: {tail(log)}")


def run_to_end(
    command: list[str], environment: dict[str, str], log: Path, directory: Path, codes: tuple[int, ...] = (0,)
) -> str:
    """Runs a suite, which must end with one of `codes`; what it has printed."""
    with log.open("wb") as output:
        run = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=directory, start_new_session=True
        )
    try:
        code = run.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[0]} took longer than {LIMIT_S} s: {tail(log)}") from None
    finally:
        # With the servers that it has left.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    check(code in codes, f"{command[0]} ended with code {code}: {tail(log)}")
    return log.read_text(errors="replace")


def tail(log: Path) -> str:
    """The last lines that say something."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if not line.startswith("Connection dropped")]
    return "\n".join(lines[-40:])
