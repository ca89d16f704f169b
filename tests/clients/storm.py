"""Watches under a stream of writes while servers die, freeze and come back: every frame checked against the changes.

One writer makes every change and knows the zxid of each. The frames of each connection, which the gate has kept, must
then be what the tables 7.2 to 7.4 make of these changes: no event without a watch, none twice, none missing, and none
behind an answer that knows of its change.
"""

from __future__ import annotations

import random
import struct
import threading
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace

from kazoo.exceptions import BadVersionError, ConnectionLoss

from . import wire
from .ensemble import Ensemble, Server
from .gate import ADD_WATCH, SET_WATCHES, SET_WATCHES2, Event, Gate, Passage, watch_lists
from .harness import Context, Failure, check, equal, raises, test, until
from .session import Observed
from .subject import CClient, JavaClient, Kazoo, Subject
from .watches import successor

ROOT, PATHS = "/storm", [f"/storm/{number}" for number in range(8)]
WRITES_A_STEP = 150


class Writer:
    """Sets one path after the other; knows the zxid of each change, also of those whose answer was lost."""

    def __init__(self, context: Context, hosts: str) -> None:
        # A short timeout: it must not wait long for a server that is frozen.
        self._zk = Observed(context, hosts, 4.0).zk
        self._retry = self._zk.retry
        self._zk.create(ROOT, b"")
        for path in PATHS:
            self._zk.create(path, b"0")
        self._versions = dict.fromkeys(PATHS, 0)
        # The zxids of all changes, and of those of each path.
        self.zxids: list[int] = []
        self.of: dict[str, list[int]] = {path: [] for path in PATHS}
        self._random = random.Random(4)
        self._stop = threading.Event()
        self.error: BaseException | None = None
        context.cleanup(self._stop.set)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._set(self._random.choice(PATHS))
        except BaseException as error:
            self.error = error

    def _set(self, path: str) -> None:
        version = self._versions[path]
        while True:
            try:
                zxid = self._zk.set(path, b"%d" % (version + 1), version).mzxid
                break
            except (ConnectionLoss, BadVersionError):
                # It may have happened. No other writer raises the version, and it is raised once.
                self._retry(self._zk.sync, path)
                stat = self._retry(self._zk.get, path)[1]
                if stat.version == version + 1:
                    zxid = stat.mzxid
                    break
        self._versions[path] = version + 1
        self.zxids.append(zxid)
        self.of[path].append(zxid)

    def more(self) -> None:
        """Waits for some more writes."""
        goal = len(self.zxids) + WRITES_A_STEP
        until(f"{WRITES_A_STEP} writes", lambda: self.error or len(self.zxids) >= goal)
        self.finish_if_failed()

    def finish_if_failed(self) -> None:
        """Raises what the writer has raised."""
        if self.error:
            raise self.error

    def finish(self) -> dict[str, str]:
        """Stops; the last value of each path."""
        self._stop.set()
        until("the writer to end", lambda: not self._thread.is_alive())
        self.finish_if_failed()
        return {path: str(version) for path, version in self._versions.items()}

    def between(self, path: str, after: int, to: int) -> list[int]:
        """The changes of a path in `after < zxid <= to`."""
        zxids = self.of[path]
        return zxids[bisect_right(zxids, after) : bisect_right(zxids, to)]


class Reader:
    """A client that reads each path with a watch, and again whenever it is told to."""

    def __init__(self, subject: Subject, gate: Gate) -> None:
        self.subject, self.gate = subject, gate
        self.values: dict[str, str] = {}
        self.told = 0
        self._due = set(PATHS)
        self._connections = 1
        self._stop = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set() or self._due:
                self._step()
        except BaseException as error:
            self.error = error

    def _step(self) -> None:
        events = [line[2:].split() for line in self.subject.told() if line.startswith("!")]
        self.told += len(events)
        self._due.update(path for kind, path in events if kind == "changed")
        connections = self.subject.states.count("connected")
        if not self.subject.registers and connections != self._connections:
            self._connections = connections
            self._due = set(PATHS)
        if not self._due:
            self._stop.wait(0.005)
            return
        path = min(self._due)
        answer = self.subject.do(f"get {path} w").split()
        if answer[0] == "0":
            self.values[path] = answer[1]
            self._due.discard(path)
        else:
            equal(answer[0], "-4", f"a read of {self.subject}")
            until(f"{self.subject} to be connected", lambda: self.subject.states[-1] == "connected")

    def finish(self, values: dict[str, str]) -> None:
        """Waits until it knows the last values, by its watches alone."""
        until(f"{self.subject} to know {values}; it knows {self.values}", lambda: self.error or self.values == values)
        self._stop.set()
        until(f"{self.subject} to end its last read", lambda: not self._thread.is_alive())
        if self.error:
            raise self.error
        self.subject.settle()


class Trial:
    """Goes through the frames of one connection."""

    def __init__(self, writer: Writer, passage: Passage, who: str) -> None:
        self.writer, self.passage, self.who = writer, passage, who
        # Path to the zxid from which on its next change must be told; of the recursive watch too.
        self.armed: dict[str, int] = {}
        self.tree: int | None = None
        # A zxid up to which everything has been seen.
        self.seen = 0
        self.checked = 0

    def run(self) -> int:
        """How many events were checked."""
        requests = iter(self.passage.requests)
        catch_up: list[str] = []
        for answer in self.passage.answers:
            if isinstance(answer, Event):
                if answer.zxid < 0:
                    catch_up.append(answer.path)
                else:
                    self.event(answer)
                continue
            request = next(requests)
            equal(answer.xid, request.xid, f"{self.who}: the xid of an answer")
            check(answer.zxid >= self.seen or answer.zxid <= 0, f"{self.who}: {answer} goes back behind {self.seen:x}")
            self.seen = max(self.seen, answer.zxid)
            self.nothing_due(answer.zxid)
            if request.op == wire.GET_DATA and answer.err == 0 and request.body[-1]:
                (length,) = struct.unpack_from(">i", request.body)
                self.armed[request.body[4 : 4 + length].decode()] = answer.zxid
            elif request.op == ADD_WATCH:
                self.tree = answer.zxid
            elif request.op in (SET_WATCHES, SET_WATCHES2):
                (since,) = struct.unpack_from(">q", request.body)
                lists = watch_lists(request)
                missed = [path for path in lists[0] if self.writer.between(path, since, answer.zxid)]
                equal(catch_up, missed, f"{self.who}: catch-up events since {since:x}")
                self.checked += len(catch_up)
                catch_up = []
                self.armed |= {path: answer.zxid for path in lists[0] if path not in missed}
                if lists[4:] and lists[4]:
                    self.tree = answer.zxid
        if not self.passage.closed:
            equal(catch_up, [], f"{self.who}: catch-up events that no setWatches asked for")
        return self.checked

    def event(self, event: Event) -> None:
        """One event with its zxid."""
        path, zxid = event.path, event.zxid
        check(event.kind == "changed" and zxid in self.writer.of[path], f"{self.who}: {event} tells of no change")
        check(zxid > self.seen, f"{self.who}: {event} at {zxid:x} comes behind {self.seen:x}")
        due = []
        if path in self.armed:
            due = self.writer.between(path, self.armed.pop(path), zxid)
            equal(len(due), 1, f"{self.who}: {event} is not of the first change since it was armed")
        check(due or self.tree is not None, f"{self.who}: {event} at {zxid:x}, though no watch was there")
        if self.tree is not None:
            zxids = self.writer.zxids
            between = zxids[bisect_right(zxids, self.tree) : bisect_right(zxids, zxid)]
            equal(between, [zxid], f"{self.who}: changes below the recursive watch up to {zxid:x}")
            self.tree = zxid
        self.seen = zxid
        self.checked += 1

    def nothing_due(self, zxid: int) -> None:
        """An answer shows the state at `zxid`: what was armed has been told by then."""
        for path, since in self.armed.items():
            due = self.writer.between(path, since, zxid)
            equal(due, [], f"{self.who}: an answer at {zxid:x} before the event of {path}, armed at {since:x}")
        if self.tree is not None:
            zxids = self.writer.zxids
            due = zxids[bisect_right(zxids, self.tree) : bisect_right(zxids, zxid)]
            equal(due, [], f"{self.who}: an answer at {zxid:x} before events of the recursive watch")


def faults(context: Context, servers: Ensemble, writer: Writer, gates: list[Gate], home: Server) -> None:
    """One server after the other fails, always the one under the readers."""

    def connections() -> list[int]:
        return [sum(1 for passage in gate.passages if passage.welcome) for gate in gates]

    def fail(what: str, fault: Callable[[], None]) -> None:
        nonlocal before
        before = connections()
        for gate in gates:
            gate.hold()
        context.say(f"{len(writer.zxids)} changes; {what}")
        fault()

    def move(server: Server) -> None:
        for gate in gates:
            gate.open(server)
        until(
            "all readers to be connected again", lambda: all(n > m for n, m in zip(connections(), before, strict=True))
        )
        writer.more()

    before = connections()

    fail(f"{home}, the follower, is killed", home.kill9)
    first = servers.leader()
    move(first)
    home.start()
    servers.wait_serving()
    fail(f"{first}, the leader, is killed", first.kill9)
    second = successor(servers, first)
    move(second)
    first.start()
    servers.wait_serving()
    fail(f"{second}, the leader, freezes", second.freeze)
    third = successor(servers, second)
    writer.more()
    second.thaw()
    until(f"{second} to follow", lambda: second.mode() == "follower")
    move(second)
    fail(f"{third}, the leader, is killed under {second}, its follower", third.kill9)
    successor(servers, third)
    until(f"{second} to serve", second.serves)
    move(second)
    fail("all connections are cut", lambda: [gate.cut() for gate in gates])
    move(second)


def can_fail(writer: Writer, passage: Passage, who: str) -> None:
    """The check sees an event that is missing, that comes twice, or late."""
    answers = passage.answers
    at = next(i for i, answer in enumerate(answers) if isinstance(answer, Event) and answer.zxid > 0)
    reply = next(i for i, answer in enumerate(answers) if i > at and isinstance(answer, wire.Reply))
    for wrong in (
        answers[:at] + answers[at + 1 :],
        answers[: at + 1] + answers[at:],
        answers[:at] + answers[at + 1 : reply + 1] + [answers[at]] + answers[reply + 1 :],
    ):
        copy = replace(passage, answers=wrong)
        raises(Failure, lambda copy=copy: Trial(writer, copy, who).run(), "the check of frames that were tampered with")


@test("storm")
def storm(context: Context) -> None:
    """watches under steady writes, four failovers and a cut: every frame checked against the changes"""
    servers = context.serving(tickTime=200, syncLimit=5)
    writer = Writer(context, servers.hosts)
    home = servers.follower()
    readers = []
    for kind in (Kazoo, CClient, JavaClient):
        gate = Gate(context, home)
        subject = kind(context, gate.address)
        subject.state("connected")
        subject.settle()
        if kind.persistent:
            subject.ok(f"addwatch {ROOT} recursive")
        readers.append(Reader(subject, gate))
    writer.more()
    faults(context, servers, writer, [reader.gate for reader in readers], home)
    values = writer.finish()
    for reader in readers:
        reader.finish(values)
        check("expired" not in reader.subject.states, f"{reader.subject} lost its session: {reader.subject.states}")
        passages = [passage for passage in reader.gate.passages if passage.welcome]
        if "java" in context.options.kinds:
            # Java's server tells zxids since 3.9.
            continue
        can_fail(writer, passages[0], str(reader.subject))
        checked = sum(Trial(writer, p, f"{reader.subject}, connection {i}").run() for i, p in enumerate(passages))
        check(checked > 0, f"{reader.subject} was told of nothing")
        context.say(
            f"{reader.subject}: {checked} events on {len(passages)} connections, {len(writer.zxids)} changes: as due"
        )
