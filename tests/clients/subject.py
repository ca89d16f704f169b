"""The clients under test, one shape for all: a command and its answer, the states of the session, events in order.

The C and the Java client are programs of their own (`programs/`), spoken to in lines; kazoo lives in this process. All
take the same commands and answer with the same words, so that one script and one list of events serve for all.
"""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from pathlib import Path

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, ZookeeperError
from kazoo.protocol.states import Callback, EventType, KazooState, KeeperState, WatchedEvent, ZnodeStat
from kazoo.security import ACL, Id

from .harness import Context, Failure, check, until

PROGRAMS = Path(__file__).parent / "programs"
JARS = [f"/usr/share/java/{name}.jar" for name in ("zookeeper", "zookeeper-jute", "slf4j-nop")]
CURATOR_JARS = [
    f"/usr/share/java/{name}.jar" for name in ("curator-client", "curator-framework", "curator-recipes", "guava")
]
JAVA = "java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto".split()
SESSION_MS = 30_000


def built(source: str) -> Path:
    """The program of that source file, compiled unless it is younger than its source."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target")).resolve() / "clients-programs"
    target.mkdir(parents=True, exist_ok=True)
    path = PROGRAMS / source
    if path.suffix == ".c":
        made = target / path.stem
        command = [
            "cc",
            "-O1",
            "-Wall",
            "-Wextra",
            "-DTHREADED",
            "-o",
            str(made),
            str(path),
            "-lzookeeper_mt",
            "-lpthread",
        ]
    else:
        made = target / f"{path.stem}.class"
        jars = ":".join(JARS + CURATOR_JARS)
        command = ["javac", "-proc:none", "-implicit:none", "-d", str(target), "-cp", jars, str(path)]
    if not made.exists() or made.stat().st_mtime < path.stat().st_mtime:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise Failure(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return made


class Subject:
    """What every client under test can do."""

    name = "?"
    # It has addWatch, and re-registers what it has armed when it is connected again.
    persistent = True
    registers = True

    def __init__(self) -> None:
        # "! KIND PATH" and "= ANSWER", in the order in which they came.
        self.lines: list[str] = []
        self.states: list[str] = []
        self._seen = 0

    def __str__(self) -> str:
        return self.name

    def do(self, command: str) -> str:
        """Runs a command; its answer without the "= "."""
        raise NotImplementedError

    def settle(self) -> None:
        """Returns when every event of what is committed has been told."""
        answer = self.do("sync /")
        check(answer.startswith("0"), f"sync by {self}: {answer}")

    def take(self) -> list[str]:
        """The events since the last call, those of all that is committed among them."""
        self.settle()
        return [line[2:] for line in self.told() if line.startswith("!")]

    def told(self) -> list[str]:
        """Events and answers since the last call."""
        new, self._seen = self.lines[self._seen :], len(self.lines)
        return new

    def state(self, name: str) -> None:
        """Waits until the last state is `name`."""
        until(f"{self} to be {name}; its states: {self.states}", lambda: self.states[-1:] == [name])

    def ok(self, command: str) -> str:
        """Runs a command that succeeds; what its answer says behind the 0."""
        answer = self.do(command)
        check(answer.split()[0] == "0", f"`{command}` by {self}: {answer}")
        return answer[2:].strip()

    def close(self) -> None:
        """Ends the session."""
        raise NotImplementedError


class Program(Subject):
    """A client that is a process of its own."""

    def __init__(self, context: Context, command: list[str], log: str) -> None:
        super().__init__()
        path = context.directory / f"{log}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as errors:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        context.cleanup(self._end)
        self._answers: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        for line in self._process.stdout:
            line = line.rstrip("\n").rstrip()
            if line.startswith("*"):
                self.states.append(line[2:])
                continue
            self.lines.append(line)
            if line.startswith("="):
                self._answers.put(line[2:])
        self._answers.put(None)

    def send(self, command: str) -> None:
        """Types a command; `answer` has what comes of it."""
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def answer(self, patience_s: float = 60.0) -> str:
        """The next answer."""
        try:
            answer = self._answers.get(timeout=patience_s)
        except queue.Empty:
            raise Failure(f"{self} did not answer; its last lines: {self.lines[-5:]}, states {self.states}") from None
        if answer is None:
            raise Failure(f"{self} has ended with code {self._process.wait()}; its last lines: {self.lines[-5:]}")
        return answer

    def do(self, command: str) -> str:
        self.send(command)
        return self.answer()

    def close(self) -> None:
        self.send("close")
        until(f"{self} to end", lambda: self._process.poll() is not None)

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()


class CClient(Program):
    """Debian's `libzookeeper_mt`, which knows nothing of addWatch."""

    name = "C"
    persistent = False

    def __init__(self, context: Context, hosts: str, timeout_ms: int = SESSION_MS, *, read_only: bool = False) -> None:
        extra = ["readonly"] if read_only else []
        super().__init__(context, [str(built("client.c")), hosts, str(timeout_ms), *extra], "client-c")


class JavaClient(Program):
    """Debian's `libzookeeper-java`."""

    name = "Java"

    def __init__(self, context: Context, hosts: str, timeout_ms: int = SESSION_MS, *, read_only: bool = False) -> None:
        extra = ["readonly"] if read_only else []
        jars = ":".join([str(built("Client.java").parent), *JARS])
        super().__init__(context, [*JAVA, "-cp", jars, "Client", hosts, str(timeout_ms), *extra], "client-java")


class Kazoo(Subject):
    """kazoo, whose releases have no addWatch either; its watchers are forgotten when the connection is."""

    name = "kazoo"
    persistent = False
    registers = False
    _KINDS = {
        EventType.CREATED: "created",
        EventType.DELETED: "deleted",
        EventType.CHANGED: "changed",
        EventType.CHILD: "children",
        # What a watcher hears when the connection ends.
        EventType.NONE: "none",
    }

    def __init__(
        self, context: Context, hosts: str, timeout_ms: int = SESSION_MS, *, read_only: bool = False, **options: object
    ) -> None:
        super().__init__()
        patient = {"max_tries": -1, "delay": 0.05, "backoff": 1, "max_delay": 0.5}
        options = {"connection_retry": patient, "command_retry": patient, **options}
        self.zk = KazooClient(hosts, timeout=timeout_ms / 1000, read_only=read_only, **options)
        self.zk.add_listener(self._on_state)
        context.cleanup(self.close)
        self.zk.start_async()

    def _on_state(self, state: str) -> None:
        names = {KazooState.SUSPENDED: "disconnected", KazooState.LOST: "expired"}
        read_only = self.zk.client_state == KeeperState.CONNECTED_RO
        self.states.append(names.get(state, "readonly" if read_only else "connected"))

    def _on_watch(self, event: WatchedEvent) -> None:
        self.lines.append(f"! {self._KINDS[event.type]} {event.path}")

    def settle(self) -> None:
        super().settle()
        done = threading.Event()
        # Events are told by a thread of their own, one after the other.
        self.zk.handler.dispatch_callback(Callback("watch", done.set, ()))
        done.wait(60)

    def do(self, command: str) -> str:
        words = command.split()
        try:
            answer = f"0 {self._run(words)}".strip()
        except ZookeeperError as error:
            answer = str(error.code)
        except KazooException as error:
            answer = type(error).__name__
        self.lines.append(f"= {answer}")
        return answer

    def _run(self, w: list[str]) -> str:
        zk = self.zk
        watch = self._on_watch if w[-1] == "w" else None
        if w[0] == "exists":
            stat = zk.exists(w[1], watch)
            if stat is None:
                raise NoNode
            return self._stat(stat)
        if w[0] == "get":
            data, stat = zk.get(w[1], watch)
            return f"{_text(data)} {self._stat(stat)}"
        if w[0] == "children":
            names, stat = zk.get_children(w[1], watch, include_data=True)
            return f"[{','.join(sorted(names))}] {self._stat(stat)}"
        if w[0] == "create":
            mode = {"ephemeral": w[3].startswith("e"), "sequence": "s" in w[3]}
            name, stat = zk.create(w[1], _bytes(w[2]), include_data=True, **mode)
            return f"{name} {self._stat(stat)}"
        if w[0] == "set":
            return self._stat(zk.set(w[1], _bytes(w[2]), int(w[3])))
        if w[0] == "delete":
            zk.delete(w[1], int(w[2]))
            return ""
        if w[0] == "sync":
            return zk.sync(w[1])
        if w[0] == "getacl":
            return " ".join(f"{a.perms}:{a.id.scheme}:{a.id.id}" for a in zk.get_acls(w[1])[0])
        if w[0] == "setacl":
            parts = [word.split(":", 2) for word in w[2:]]
            zk.set_acls(w[1], [ACL(int(perms), Id(scheme, who)) for perms, scheme, who in parts])
            return ""
        if w[0] == "auth":
            zk.add_auth(w[1], w[2])
            return ""
        if w[0] == "multi":
            return self._multi(w[1:])
        if w[0] == "session":
            return f"{zk.client_id[0]:x} {zk._session_timeout}"
        raise AssertionError(f"unknown command {w}")

    def _multi(self, words: list[str]) -> str:
        transaction = self.zk.transaction()
        for group in " ".join(words).split(" ; "):
            w = group.split()
            if w[0] == "create":
                transaction.create(w[1], _bytes(w[2]), ephemeral=w[3].startswith("e"), sequence="s" in w[3])
            elif w[0] == "set":
                transaction.set_data(w[1], _bytes(w[2]), int(w[3]))
            elif w[0] == "delete":
                transaction.delete(w[1], int(w[2]))
            else:
                transaction.check(w[1], int(w[2]))
        said = []
        for result in transaction.commit():
            if isinstance(result, ZookeeperError):
                said.append(str(result.code))
            elif isinstance(result, ZnodeStat):
                said.append(f"0:{result.version}")
            else:
                said.append(f"0:{result}" if isinstance(result, str) else "0")
        return " ".join(said)

    def _stat(self, stat: ZnodeStat) -> str:
        owner = "-" if stat.ephemeralOwner == 0 else "mine" if stat.ephemeralOwner == self.zk.client_id[0] else "other"
        numbers = [stat.version, stat.cversion, stat.aversion, owner, stat.dataLength, stat.numChildren]
        return " ".join(str(number) for number in numbers)

    def close(self) -> None:
        self.zk.stop()
        self.zk.close()


class NoNode(ZookeeperError):
    """kazoo's exists returns None where the others report this."""

    code = -101


def _bytes(word: str) -> bytes | None:
    if word == "-":
        return None
    return b"x" * int(word[1:]) if word.startswith("*") else word.encode()


def _text(data: bytes | None) -> str:
    if data is None:
        return "null"
    return f"({len(data)})" if len(data) > 64 else data.decode()


KINDS: tuple[type[Subject], ...] = (Kazoo, CClient, JavaClient)
