"""Servers: each a process of its own on loopback, started, killed and stopped by its own id."""

from __future__ import annotations

import contextlib
import random
import shlex
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .harness import Context

JAVA_COMMAND = (
    "java {properties} -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.showDateTime=true"
    " -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"
    " -cp /usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"
    " org.apache.zookeeper.server.quorum.QuorumPeerMain {cfg}"
)

# Settings that Java's server reads from its command line only.
JAVA_PROPERTIES = ("readonlymode.enabled", "znode.container.checkIntervalMs")

# Below the range from which the kernel takes the ports of outgoing connections: a restarted server finds its own free.
_PORTS = range(11_000, 32_000)
_given: set[int] = set()


def free_port() -> int:
    """A loopback port that nobody listens on and that this run has not given out before."""
    while True:
        port = random.choice(_PORTS)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


def four_letter(port: int, word: str, timeout_s: float = 5.0) -> str | None:
    """The answer to a four-letter word, None when nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as link:
            link.sendall(word.encode())
            answer = b""
            while part := link.recv(65536):
                answer += part
            return answer.decode(errors="replace")
    except OSError:
        return None


class Server:
    """One server: its configuration, its directory, and its process while it runs."""

    def __init__(self, context: Context, directory: Path, sid: int, kind: str) -> None:
        self.context = context
        self.directory = directory
        self.sid = sid
        self.kind = kind
        self.data = directory / "data"
        self.cfg = directory / "zoo.cfg"
        self.log = directory / "log.txt"
        self.client_port, self.quorum_port, self.election_port = free_port(), free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None
        # Put before the server's own command, as `strace` is.
        self.wrapper: list[str] = []
        # It does not vote.
        self.observer = False
        self._properties = ""
        directory.mkdir(parents=True)
        self.data.mkdir()

    def __str__(self) -> str:
        return f"server {self.sid}"

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.client_port}"

    @property
    def member(self) -> str:
        """Its `server.N` line."""
        kind = ":observer" if self.observer else ""
        return f"server.{self.sid}=127.0.0.1:{self.quorum_port}:{self.election_port}{kind}"

    def configure(self, settings: dict[str, object], members: list[str]) -> None:
        """Writes `zoo.cfg` and, for an ensemble, `myid`."""
        lines = [f"{key}={value}" for key, value in settings.items()]
        self._properties = " ".join(f"-D{key}={settings[key]}" for key in JAVA_PROPERTIES if key in settings)
        lines += [f"dataDir={self.data}", f"clientPort={self.client_port}", *members]
        lines += ["peerType=observer"] if self.observer else []
        self.cfg.write_text("\n".join(lines) + "\n")
        if members:
            (self.data / "myid").write_text(f"{self.sid}\n")

    @property
    def command(self) -> list[str]:
        """What starts it."""
        template = self.context.options.command
        if self.kind == "java":
            template = JAVA_COMMAND.replace("{properties}", self._properties)
        return [word.format(cfg=self.cfg) for word in shlex.split(template)]

    def start(self) -> None:
        """Starts the process; does not wait for it to serve. Call it from the main thread only: see below."""
        assert self.process is None, f"{self} runs already"
        with self.log.open("ab") as log:
            log.write(f"--- start of {self}\n".encode())
            log.flush()
            # The kernel ends the server when the thread that started it dies, however that happens.
            words = ["setpriv", "--pdeathsig", "KILL", "--", *self.wrapper, *self.command]
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def freeze(self) -> None:
        """SIGSTOP, and waits until every thread of it has stopped. Only `thaw` and `kill9` help then."""
        from .harness import until

        assert self.process is not None, f"{self} does not run"
        self.process.send_signal(signal.SIGSTOP)
        until(f"the threads of {self} to stop", lambda: self._thread_states() <= {"T"} or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise AssertionError(f"{self} had ended by itself with code {self.process.returncode}")

    def _stops_with_headers(self) -> bool:
        """Stops it; unless a log file of it is empty: then it goes on."""
        self.freeze()
        if all(log.stat().st_size >= 16 for log in (self.data / "version-2").glob("log.*")):
            return True
        self.thaw()
        return False

    def _thread_states(self) -> set[str]:
        """The letters of `proc_pid_stat(5)`; they come behind the name, which may hold anything."""
        states = set()
        for stat in Path(f"/proc/{self.process.pid}/task").glob("*/stat"):
            # A thread may end meanwhile.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                states.add(stat.read_text(errors="replace").rpartition(")")[2].split()[0])
        return states

    def thaw(self) -> None:
        """SIGCONT: it goes on as if nothing had happened."""
        assert self.process is not None, f"{self} does not run"
        self.process.send_signal(signal.SIGCONT)

    def kill9(self) -> None:
        """SIGKILL, and waits until the process is gone.

        A Java server that ends between the creation of a log file and its first bytes does not start again: that is not what is
        tested here, so it is spared that moment.
        """
        from .harness import until

        assert self.process is not None, f"{self} does not run"
        if self.process.poll() is not None:
            raise AssertionError(f"{self} had ended by itself with code {self.process.returncode}")
        if self.kind == "java":
            until(f"the log files of {self} to have their headers", self._stops_with_headers)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self, patience_s: float = 30.0) -> str | None:
        """SIGTERM; returns a complaint unless the process then ends by itself."""
        if self.process is None:
            return None
        process, self.process = self.process, None
        if process.poll() is not None:
            return f"{self} had ended by itself with code {process.returncode}"
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return f"{self} did not end within {patience_s:.0f} s of SIGTERM"
        if process.returncode not in (0, -signal.SIGTERM, 128 + signal.SIGTERM):
            return f"{self} ended with code {process.returncode} on SIGTERM"
        return None

    def wait_exit(self) -> int:
        """Waits until the process ends by itself; its exit code."""
        from .harness import until

        process = self.process
        assert process is not None
        until(f"{self} to end by itself", lambda: process.poll() is not None)
        self.process = None
        return process.returncode

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.poll() is None

    def mode(self) -> str | None:
        """`leader`, `follower`, `standalone`, or None while it does not serve."""
        answer = four_letter(self.client_port, "srvr") or ""
        for line in answer.splitlines():
            if line.startswith("Mode: "):
                return line.removeprefix("Mode: ").strip()
        return None

    def serves(self) -> bool:
        """Whether it serves clients; raises when its process has ended."""
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"{self} ended by itself with code {self.process.returncode}")
        return self.process is not None and self.mode() is not None

    def wait_logged(self, path: str) -> None:
        """Waits until its transaction log speaks of that path: it may learn of a commit before it has written what is committed."""
        from .harness import until

        logs = self.data / "version-2"
        text = path.encode()
        until(f"the log of {self} to have {path}", lambda: any(text in f.read_bytes() for f in logs.glob("log.*")))

    def log_text(self) -> str:
        """All it has printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Ensemble:
    """Servers that know each other; one server alone is standalone."""

    def __init__(
        self,
        context: Context,
        directory: Path,
        servers: int,
        extra_members: tuple[str, ...] = (),
        kinds: tuple[str, ...] = (),
        observers: tuple[int, ...] = (),
        **settings: object,
    ) -> None:
        kinds = list(kinds) or context.options.kinds
        self.context = context
        self.servers = [
            Server(context, directory / str(sid), sid, kinds[(sid - 1) % len(kinds)]) for sid in range(1, servers + 1)
        ]
        for sid in observers:
            self.servers[sid - 1].observer = True
        self.settings: dict[str, object] = {
            "tickTime": 500,
            "initLimit": 40,
            "syncLimit": 20,
            "minSessionTimeout": 1000,
            "maxSessionTimeout": 60_000,
            "maxClientCnxns": 0,
            "clientPortAddress": "127.0.0.1",
            "4lw.commands.whitelist": "*",
            "admin.enableServer": "false",
            **settings,
        }
        self.members = [server.member for server in self.servers] + list(extra_members) if servers > 1 else []
        for server in self.servers:
            server.configure(self.settings, self.members)

    @property
    def hosts(self) -> str:
        """The connect string of all servers."""
        return ",".join(server.address for server in self.servers)

    def start(self) -> None:
        """Starts all servers and waits until all of them serve."""
        for server in self.servers:
            server.start()
        self.wait_serving()

    def wait_serving(self) -> None:
        """Waits until all servers that run serve at the same time: one may not have heard yet that its leader is gone."""
        from .harness import until

        running = [server for server in self.servers if server.process is not None]
        for server in running:
            until(f"{server} to serve", server.serves)
        until("all of them to serve", lambda: all(server.serves() for server in running * 2))

    def leader(self) -> Server:
        """The leader, once there is one."""
        from .harness import until

        def probe() -> Server | None:
            return next((s for s in self.servers if s.process is not None and s.mode() == "leader"), None)

        return until("a leader", probe)

    def follower(self) -> Server:
        """Some follower, once there is one."""
        from .harness import until

        def probe() -> Server | None:
            return next((s for s in self.servers if s.process is not None and s.mode() == "follower"), None)

        return until("a follower", probe)

    def pick(self, role: str) -> Server:
        """The server with that role."""
        return self.leader() if role == "leader" else self.follower()

    def close(self) -> list[str]:
        """Ends all servers; returns complaints about crashes, panics and servers that would not stop."""
        complaints = [complaint for server in self.servers if (complaint := server.stop())]
        for server in self.servers:
            text = server.log_text()
            if "panicked at" in text:
                line = next(line for line in text.splitlines() if "panicked at" in line)
                complaints.append(f"{server} panicked: {line.strip()}")
        return complaints
