"""The command lines that people use: Debian's C client `cli_mt` and Java's `ZooKeeperMain`."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterable

from .ensemble import Server
from .harness import Context, check, equal, test, until

CLI_MT = "/usr/lib/zookeeper/bin/cli_mt"
JAVA_SHELL = [
    *"java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1".split(),
    *"-cp /usr/share/java/zookeeper.jar:/usr/share/java/slf4j-nop.jar org.apache.zookeeper.ZooKeeperMain".split(),
]


class CShell:
    """An interactive `cli_mt`, which prints everything to its standard error."""

    def __init__(self, context: Context, hosts: str) -> None:
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", CLI_MT, "-h", hosts],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        context.cleanup(self._process.kill)
        self._output = ""
        threading.Thread(target=self._collect, daemon=True).start()
        until("cli_mt to connect", lambda: "state = CONNECTED_STATE" in self._output)

    def _collect(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if "ZOO_INFO" not in line:
                self._output += line

    def run(self, command: str, *expected: str) -> str:
        """Types a command and waits until its output has matched every pattern, in any order."""
        assert self._process.stdin is not None
        start = len(self._output)
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

        def complete() -> bool:
            output = self._output[start:]
            return all(re.search(pattern, output, re.MULTILINE) for pattern in expected)

        try:
            until(f"cli_mt to answer `{command}` with all of {expected}", complete, patience_s=20)
        except AssertionError as error:
            raise AssertionError(f"{error}; it said:\n{self._output[start:]}") from None
        return self._output[start:]

    def quit(self) -> None:
        """Ends it."""
        assert self._process.stdin is not None
        self._process.stdin.write("quit\n")
        self._process.stdin.flush()
        equal(self._process.wait(timeout=30), 0, "exit code of cli_mt")


@test("shells.c_interactive")
def c_interactive(context: Context) -> None:
    """cli_mt, typed into: create get set ls stat exists delete, with watch events"""
    servers = context.serving()
    shell = CShell(context, servers.hosts)
    shell.run("create /c", r"^\[/c\]: rc = 0$", r"^\tname = /c$")
    shell.run("create +e /c/e", r"^\[/c/e\]: rc = 0$")
    shell.run("create +s /c/s-", r"^\tname = /c/s-0000000001$")
    shell.run("create2 /c2", r"^\[/c2\]: rc = 0$", r"^\tname = /c2$", r"^\tversion=0\taversion=0$")
    shell.run("create /c", r"^\[/c\]: rc = -110$")
    got = shell.run("get /c", r"^/c: rc = 0$", r"^ value_len = 3$", r"^new$", r"^\tephemeralOwner = 0$")
    check(c_stat(got)["czxid"] == c_stat(got)["mzxid"], f"czxid and mzxid of a new znode:\n{got}")
    # `get` has left a watch.
    changed = shell.run(
        "set /c world",
        r"^/c: rc = 0 Stat:$",
        r"^Watcher CHANGED_EVENT state = CONNECTED_STATE for path /c$",
        r"^\tephemeralOwner = 0$",
    )
    check(c_stat(changed)["czxid"] < c_stat(changed)["mzxid"], f"czxid and mzxid after set:\n{changed}")
    equal(c_stat(changed)["version"], 1, "version after set")
    shell.run("get /c", r"^ value_len = 5$", r"^world$", r"^\tversion=1\taversion=0$")
    shell.run("ls /c", r"^/c: rc = 0$", r"^\te$", r"^\ts-0000000001$")
    # This client's stat is the second half of `ls2`; its `exists` speaks only when there is nothing.
    shell.run("ls2 /c", r"^/c: rc = 0$", r"^\te$", r"^\tversion=1\taversion=0$")
    shell.run("exists /c")
    said = shell.run("exists /nothing", r"^Error -101 for /nothing$")
    equal(said.count("Error"), 1, f"errors of exists in {said!r}")
    shell.run("sync /c", r"^\[/c\]: rc = 0$")
    shell.run("delete /c", r"^/c: rc = -111$")
    shell.run("delete /c/s-0000000001", r"^/c/s-0000000001: rc = 0$")
    shell.run("delete /c/e", r"^/c/e: rc = 0$")
    shell.run("delete /c", r"^/c: rc = 0$", r"^Watcher DELETED_EVENT state = CONNECTED_STATE for path /c$")
    shell.run("get /c", r"^/c: rc = -101$")
    shell.quit()


def c_stat(output: str) -> dict[str, int]:
    """The numbers of a stat as cli_mt prints it, zxids in hex."""
    found = {name: int(value, 16) for name, value in re.findall(r"(czxid|mzxid)=([0-9a-f]+)", output)}
    found |= {name: int(value) for name, value in re.findall(r"(version|aversion)=(-?\d+)", output)}
    return found


@test("shells.c_batch")
def c_batch(context: Context) -> None:
    """cli_mt with one command per run, each through another server"""
    servers = context.serving()
    turn = 0

    def run(command: str, *expected: str) -> None:
        nonlocal turn
        server = servers.servers[turn % len(servers.servers)]
        turn += 1

        # A read on another server may be behind the write before it, as ZooKeeper's promises allow.
        def matches() -> bool:
            done = subprocess.run(
                [CLI_MT, "-h", server.address, "-c", command], capture_output=True, text=True, timeout=60, check=False
            )
            equal(done.returncode, 0, f"exit code of cli_mt -c '{command}'")
            outputs.append(done.stderr)
            return all(re.search(pattern, done.stderr, re.MULTILINE) for pattern in expected)

        outputs: list[str] = []
        reads = command.split()[0] in ("get", "ls")
        if reads:
            until(f"`{command}` on {server} to show {expected}", matches, patience_s=20)
        else:
            check(matches(), f"`{command}` on {server}: expected {expected} in:\n{outputs}")

    run("create /batch", r"^\[/batch\]: rc = 0$")
    run("get /batch", r"^new$", r"^\tversion=0\taversion=0$")
    run("set /batch v1", r"^\tversion=1\taversion=0$")
    run("get /batch", r"^v1$", r"^\tversion=1\taversion=0$")
    run("ls /", r"^\tbatch$")
    run("create +s /batch/n", r"^\tname = /batch/n0000000000$")
    run("delete /batch/n0000000000", r"^/batch/n0000000000: rc = 0$")
    run("delete /batch", r"^/batch: rc = 0$")
    run("get /batch", r"^/batch: rc = -101$")


def java(server: Server, words: str, feed: Iterable[str] = ()) -> tuple[int, str, str]:
    """Runs Java's shell; exit code, standard output without the greeting, standard error."""
    done = subprocess.run(
        [*JAVA_SHELL, "-server", server.address, *words.split()],
        input="".join(f"{line}\n" for line in feed),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    greeting = r"\A.*?WatchedEvent state:SyncConnected type:None path:null\n"
    return done.returncode, re.sub(greeting, "", done.stdout, count=1, flags=re.DOTALL), done.stderr


def java_stat(output: str) -> dict[str, str]:
    """The lines `key = value` of a stat as Java's shell prints it."""
    return dict(re.findall(r"^(\w+) = (.*)$", output, re.MULTILINE))


STAT_KEYS = (
    "cZxid ctime mZxid mtime pZxid cversion dataVersion aclVersion ephemeralOwner dataLength numChildren".split()
)


@test("shells.java_commands")
def java_commands(context: Context) -> None:
    """ZooKeeperMain with one command per run: outputs and exit codes"""
    server = context.serving().follower()
    equal(java(server, "create /j hello"), (0, "", "Created /j\n"), "create")
    equal(java(server, "create -s /j/s- x"), (0, "", "Created /j/s-0000000000\n"), "create -s")
    equal(java(server, "create /j again"), (1, "", "Node already exists: /j\n"), "create over an existing znode")
    equal(java(server, "get /j"), (0, "hello\n", ""), "get")
    equal(java(server, "ls /j"), (0, "[s-0000000000]\n", ""), "ls")
    code, output, _ = java(server, "stat /j")
    stat = java_stat(output)
    equal((code, list(stat)), (0, STAT_KEYS), "stat's lines")
    equal(stat["cZxid"], stat["mZxid"], "cZxid and mZxid of a new znode")
    shown = [stat[key] for key in ("cversion", "dataVersion", "ephemeralOwner", "dataLength", "numChildren")]
    equal(shown, ["1", "0", "0x0", "5", "1"], "cversion, dataVersion, ephemeralOwner, dataLength, numChildren")
    code, output, _ = java(server, "set -s /j worlds")
    changed = java_stat(output)
    equal((code, changed["dataVersion"], changed["dataLength"]), (0, "1", "6"), "set -s")
    check(changed["cZxid"] != changed["mZxid"], "set moves mZxid")
    code, _, error = java(server, "set -v 7 /j x")
    check(code == 1 and "version" in error.lower(), f"set at a wrong version: exit code {code}, {error!r}")
    equal(java(server, "delete /j"), (1, "", "Node not empty: /j\n"), "delete with children")
    equal(java(server, "delete /j/s-0000000000"), (0, "", ""), "delete")
    equal(java(server, "delete /j"), (0, "", ""), "delete")
    equal(java(server, "get /j"), (1, "", "Node does not exist: /j\n"), "get of nothing")


@test("shells.java_typed")
def java_typed(context: Context) -> None:
    """ZooKeeperMain fed with lines: one session for all of them"""
    server = context.serving().leader()
    lines = ["create /t one", "create -e /t/e", "get /t", "set /t two", "get -s /t", "ls /t", "getAcl /t", "whoami"]
    lines += ["delete /t/e", "ls -s /t", "delete /t", "stat /t", "ls /", "quit"]
    code, output, error = java(server, "", lines)
    equal(code, 0, "exit code")
    check("one\ntwo\ncZxid = " in output, f"get, then get -s, in:\n{output}")
    check("dataVersion = 1\n" in output and "[e]\n" in output, f"set and ls in:\n{output}")
    check("'world,'anyone\n: cdrwa\n" in output, f"getAcl in:\n{output}")
    check("ip: 127.0.0.1\n" in output, f"whoami in:\n{output}")
    check("[]\ncZxid" in output, f"ls -s of no children in:\n{output}")
    check("\n[zookeeper]\n" in output, f"ls / at the end in:\n{output}")
    check("Created /t\nCreated /t/e\n" in error, f"create in:\n{error}")
    check("Node does not exist: /t" in error, f"stat of nothing in:\n{error}")
