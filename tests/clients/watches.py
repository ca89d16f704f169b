"""Watches of unmodified clients while their server, or the leader, dies, freezes or is cut off: the exact events.

What a client arms, what changes while it is away, and what it must hear then and later stands in `CASES`, after the
tables 7.2 and 7.4 of the specification; nothing of it is asked of a server. The gate before each client holds its
reconnection back until everything has changed, and keeps the frames: the order of the catch-up events is that of the
lists which the client sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from . import gate as gates
from . import wire
from .ensemble import Ensemble, Server
from .gate import Gate, Passage, Request
from .harness import Context, check, equal, same, test, until
from .session import Observed
from .subject import CClient, JavaClient, Kazoo, Subject

# What setWatches calls its lists.
DATA, EXIST, CHILD, PERSISTENT, RECURSIVE = "data", "exist", "child", "persistent", "recursive"
LISTS = (DATA, EXIST, CHILD, PERSISTENT, RECURSIVE)


@dataclass(frozen=True)
class Case:
    """A znode, who watches it how, what happens to it while the client is away, and what must be heard."""

    name: str
    # The commands that arm; PATH stands for the znode.
    arm: tuple[str, ...]
    # What the client re-registers: the list, and the catch-up event that it gets for it.
    lists: dict[str, str | None]
    # What changes while it is away.
    away: tuple[str, ...] = ()
    # What changes when it is back, and the events of it.
    later: tuple[str, ...] = ()
    heard: tuple[str, ...] = ()
    # Whether the znode is there at first.
    born: bool = True
    # Java's server 3.8 keeps one mode of watching for each path and connection; 3.9, as ours, keeps all (7.1).
    modes: int = 1


GET, EXISTS, KIDS = ("get PATH w",), ("exists PATH w",), ("children PATH w",)
SET, KID, UNKID, GONE, MADE = "set PATH", "create PATH/k", "delete PATH/k", "delete PATH", "create PATH"
# Two changes of every kind: what is armed once tells one of them.
TWICE = (SET, KID, SET, UNKID)
ONE_SET, ONE_KID = ("changed PATH",), ("children PATH",)

CASES = (
    Case("data-same", GET, {DATA: None}, (), TWICE, ONE_SET),
    Case("data-set", GET, {DATA: "changed"}, (SET,), TWICE),
    Case("data-gone", GET, {DATA: "deleted"}, (GONE,), (MADE, SET)),
    Case("data-again", GET, {DATA: "changed"}, (GONE, MADE), TWICE),
    Case("data-kid", GET, {DATA: None}, (KID,), (UNKID, SET, SET), ONE_SET),
    Case("data-acl", GET, {DATA: None}, ("setacl PATH",), TWICE, ONE_SET),
    Case("data-end", GET, {DATA: None}, (), (GONE, MADE), ("deleted PATH",)),
    Case("exists-set", EXISTS, {DATA: "changed"}, (SET,), TWICE),
    Case("exists-same", EXISTS, {DATA: None}, (), TWICE, ONE_SET),
    Case("missing-made", EXISTS, {EXIST: "created"}, (MADE,), (SET, GONE), born=False),
    Case("missing-still", EXISTS, {EXIST: None}, (), (MADE, SET, GONE), ("created PATH",), born=False),
    Case("missing-passed", EXISTS, {EXIST: None}, (MADE, SET, GONE), (MADE, SET), ("created PATH",), born=False),
    Case("kids-same", KIDS, {CHILD: None}, (), TWICE, ONE_KID),
    Case("kids-new", KIDS, {CHILD: "children"}, (KID,), (UNKID, SET)),
    Case("kids-churn", KIDS, {CHILD: "children"}, (KID, UNKID), TWICE),
    Case("kids-set", KIDS, {CHILD: None}, (SET,), TWICE, ONE_KID),
    Case("kids-gone", KIDS, {CHILD: "deleted"}, (GONE,), (MADE, KID)),
    Case("kids-again", KIDS, {CHILD: "children"}, (GONE, MADE), TWICE),
    Case("kids-end", KIDS, {CHILD: None}, (), (GONE, MADE), ("deleted PATH",)),
    Case("both-same", GET + KIDS, {DATA: None, CHILD: None}, (), TWICE, ("changed PATH", "children PATH")),
    Case("both-set", GET + KIDS, {DATA: "changed", CHILD: None}, (SET,), TWICE, ONE_KID),
    Case("both-new", GET + KIDS, {DATA: None, CHILD: "children"}, (KID,), (UNKID, SET), ONE_SET),
    # The server says it for each list; the client has only one watch left to tell.
    Case("both-gone", GET + KIDS, {DATA: "deleted", CHILD: "deleted"}, (GONE,), (MADE, SET, KID)),
    Case("both-end", GET + KIDS, {DATA: None, CHILD: None}, (), (GONE, MADE), ("deleted PATH",)),
)

STAY, TREE = ("addwatch PATH persistent",), ("addwatch PATH recursive",)
ALL = ("changed PATH", "children PATH", "changed PATH", "children PATH", "deleted PATH", "created PATH")
LASTING_CASES = (
    Case("stay-same", STAY, {PERSISTENT: None}, (), (*TWICE, GONE, MADE), ALL),
    Case("stay-set", STAY, {PERSISTENT: None}, (SET, KID, SET, UNKID), (*TWICE, GONE, MADE), ALL),
    Case("stay-gone", STAY, {PERSISTENT: None}, (GONE,), (MADE, SET), ("created PATH", "changed PATH")),
    Case("stay-missing", STAY, {PERSISTENT: None}, (MADE,), (SET, SET), ("changed PATH", "changed PATH"), born=False),
    Case("stay-and-get", STAY + GET, {PERSISTENT: None, DATA: "changed"}, (SET,), (SET, SET), ("changed PATH",) * 2),
    Case(
        "tree",
        TREE,
        {RECURSIVE: None},
        (SET, KID),
        (SET, "set PATH/k", "create PATH/k/l", "delete PATH/k/l", UNKID, GONE, MADE),
        (
            *("changed PATH", "changed PATH/k", "created PATH/k/l", "deleted PATH/k/l"),
            *("deleted PATH/k", "deleted PATH", "created PATH"),
        ),
    ),
    Case(
        "tree-and-kids",
        TREE + KIDS,
        {RECURSIVE: None, CHILD: "children"},
        (KID,),
        (UNKID, SET),
        ("deleted PATH/k", "changed PATH"),
    ),
    Case(
        "tree-and-stay",
        TREE + STAY,
        {RECURSIVE: None, PERSISTENT: None},
        (),
        TWICE,
        ("changed PATH", "created PATH/k", "children PATH", "changed PATH", "deleted PATH/k", "children PATH"),
        modes=2,
    ),
)


@dataclass
class Watching:
    """A client behind its gate, and the cases that it plays below its own root."""

    subject: Subject
    gate: Gate
    root: str
    cases: tuple[Case, ...]
    before: Passage | None = field(default=None)

    def path(self, case: Case) -> str:
        """The znode of a case."""
        return f"{self.root}/{case.name}"

    def steps(self, part: Callable[[Case], tuple[str, ...]]) -> list[str]:
        """A part of all cases, with their paths."""
        return [step.replace("PATH", self.path(case)) for case in self.cases for step in part(case)]

    def arm(self) -> None:
        """Reads with watches, and whatever else arms."""
        for command in self.steps(lambda case: case.arm):
            answer = self.subject.do(command).split()[0]
            check(answer in ("0", "-101"), f"`{command}` by {self.subject}: {answer}")
        equal(self.subject.take(), [], f"events of {self.subject} before anything has changed")
        self.before = self.gate.last

    def caught_up(self, passage: Passage) -> list[str]:
        """Checks the catch-up events on the wire; returns what the client's own watchers must have heard."""
        sent = [r for r in passage.requests if r.op in (gates.SET_WATCHES, gates.SET_WATCHES2)]
        if not self.subject.registers:
            equal((len(sent), passage.events), (0, []), f"setWatches of {self.subject}, and events")
            return []
        kind = gates.SET_WATCHES2 if self.subject.persistent else gates.SET_WATCHES
        equal([request.op for request in sent], [kind], f"setWatches of {self.subject}")
        armed = {}
        for name, paths in zip(LISTS, gates.watch_lists(sent[0]), strict=False):
            armed[name] = paths
        for name in LISTS:
            wanted = {self.path(case) for case in self.cases if name in case.lists}
            equal(sorted(armed.get(name, [])), sorted(wanted), f"what {self.subject} re-registers as {name}")
        expected = self.expected(sent[0])
        same([str(event) for event in passage.events], expected, f"catch-up events for {self.subject} on the wire")
        check(all((event.state, event.zxid) == (3, -1) for event in passage.events), f"{passage.events}")
        # They come before the answer, and a client is told once of what the server says for two lists.
        equal(len(passage.answers[: self.answer_to(passage, sent[0])]), len(expected), "events before the answer")
        return list(dict.fromkeys(expected))

    def expected(self, request: Request) -> list[str]:
        """The catch-up events, in the order of the lists of `request`."""
        wanted = {self.path(case): case.lists for case in self.cases}
        pairs = [(name, path) for name, paths in zip(LISTS, gates.watch_lists(request), strict=False) for path in paths]
        return [f"{event} {path}" for name, path in pairs if (event := wanted[path][name])]

    @staticmethod
    def answer_to(passage: Passage, request: Request) -> int:
        """Where the answer to a request stands among the answers; it is a good one."""
        at = next(i for i, a in enumerate(passage.answers) if isinstance(a, wire.Reply) and a.xid == request.xid)
        equal(passage.answers[at].err, 0, "setWatches")
        return at


class Changes:
    """A client that changes things through one server."""

    def __init__(self, context: Context, server: Server) -> None:
        self.zk = Observed(context, server.address).zk

    def run(self, steps: list[str]) -> None:
        """Does `set PATH`, `create PATH`, `delete PATH`, `setacl PATH`, one after the other."""
        for step in steps:
            kind, path = step.split()
            if kind == "set":
                self.zk.set(path, b"changed")
            elif kind == "create":
                self.zk.create(path, b"new")
            elif kind == "delete":
                self.zk.delete(path)
            else:
                self.zk.set_acls(path, self.zk.get_acls(path)[0])


def armed(
    context: Context, home: Server, names: tuple[type[Subject], ...] = (Kazoo, CClient, JavaClient)
) -> list[Watching]:
    """One client of each kind on `home`, everything armed."""
    writer = Changes(context, home)
    made = []
    for kind in names:
        gate = Gate(context, home)
        subject = kind(context, gate.address)
        cases = CASES + LASTING_CASES if kind.persistent else CASES
        if "java" in context.options.kinds:
            cases = tuple(case for case in cases if case.modes == 1)
        made.append(Watching(subject, gate, f"/{kind.name}", cases))
    for watching in made:
        writer.run([f"create {watching.root}"])
        writer.run([f"create {watching.path(case)}" for case in watching.cases if case.born])
        watching.subject.state("connected")
        watching.subject.settle()
        watching.arm()
    return made


def away(watchings: list[Watching], fault: Callable[[], object]) -> None:
    """The fault, while no client gets anywhere; returns when all have noticed."""
    for watching in watchings:
        watching.gate.hold()
    fault()
    for watching in watchings:
        watching.subject.state("disconnected")


def back(context: Context, watchings: list[Watching], server: Server) -> None:
    """Changes things through `server`, lets the clients connect to it, and checks what they hear, then and later."""
    writer = Changes(context, server)
    for watching in watchings:
        writer.run(watching.steps(lambda case: case.away))
    for watching in watchings:
        # kazoo tells each watcher that it is forgotten.
        nones = [line for line in watching.subject.told() if line.startswith("!")]
        forgotten = sum(len(case.arm) for case in watching.cases) if not watching.subject.registers else 0
        equal(nones, ["! none None"] * forgotten, f"events of {watching.subject} while it was away")
        watching.gate.open(server)
    for watching in watchings:
        subject = watching.subject
        subject.state("connected")
        caught = subject.take()
        passage = watching.gate.last
        same(caught, watching.caught_up(passage), f"what {subject} has heard after its return")
        told = len(passage.events)
        writer.run(watching.steps(lambda case: case.later))
        expected = watching.steps(lambda case: case.heard) if subject.registers else []
        same(subject.take(), expected, f"what {subject} has heard of later changes")
        same([str(event) for event in passage.events[told:]], expected, f"later events for {subject} on the wire")
        check(all(event.state == 3 for event in passage.events), f"states of {passage.events}")
        context.say(f"{subject}: {len(caught)} catch-up events, {len(expected)} later ones, as expected")


def successor(servers: Ensemble, gone: Server) -> Server:
    """The leader after `gone`."""

    def probe() -> Server | None:
        return next(
            (s for s in servers.servers if s is not gone and s.process is not None and s.mode() == "leader"), None
        )

    return until("another leader", probe)


@test("watches.cut", ci=False)
def cut(context: Context) -> None:
    """a connection is cut: catch-up events in the order of setWatches, each once, then later ones"""
    servers = context.serving()
    home = servers.follower()
    watchings = armed(context, home)
    away(watchings, lambda: [watching.gate.cut() for watching in watchings])
    back(context, watchings, home)


@test("watches.follower")
def follower(context: Context) -> None:
    """the follower under the clients is killed, and they go on at another"""
    servers = context.serving()
    home = servers.follower()
    watchings = armed(context, home)
    away(watchings, home.kill9)
    back(context, watchings, servers.follower())


@test("watches.leader")
def leader(context: Context) -> None:
    """the leader under the clients is killed, and they go on at the next"""
    servers = context.serving()
    home = servers.leader()
    watchings = armed(context, home)
    away(watchings, home.kill9)
    back(context, watchings, successor(servers, home))


@test("watches.bystander")
def bystander(context: Context) -> None:
    """the leader is killed, and the clients of a follower, which drops them, come back to it"""
    servers = context.serving()
    home = servers.follower()
    watchings = armed(context, home)
    victim = servers.leader()
    away(watchings, victim.kill9)
    successor(servers, victim)
    until(f"{home} to serve again", home.serves)
    back(context, watchings, home)


@test("watches.frozen")
def frozen(context: Context) -> None:
    """the leader under the clients freezes, is replaced, wakes and drops them; they come back to it"""
    servers = context.serving(tickTime=200, syncLimit=5)
    home = servers.leader()
    watchings = armed(context, home)
    heard = [len(watching.gate.last.events) for watching in watchings]
    for watching in watchings:
        watching.gate.hold()
    home.freeze()
    other = successor(servers, home)
    writer = Changes(context, other)
    writer.run(["create /while-it-is-frozen"])
    home.thaw()
    for watching in watchings:
        watching.subject.state("disconnected")
    equal([len(w.gate.last.events) for w in watchings], heard, "events of a leader that has been replaced")
    until(f"{home} to follow", lambda: home.mode() == "follower")
    back(context, watchings, home)


@test("watches.observer", ci=False)
def observer(context: Context) -> None:
    """the follower under the clients is killed, and they go on at an observer"""
    servers = context.serving(4, observers=(4,))
    home = servers.follower()
    watchings = armed(context, home)
    away(watchings, home.kill9)
    back(context, watchings, servers.servers[3])
