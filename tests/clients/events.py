"""What clients are told: the order of events and answers, removed watches, many watches, kazoo's recipes."""

from __future__ import annotations

import struct
import threading
from collections import namedtuple
from collections.abc import Callable

from . import gate as gates
from . import wire
from .gate import Gate, watch_lists
from .harness import Context, check, equal, same, test, until
from .session import Observed
from .subject import CClient, JavaClient, Kazoo, Program
from .watches import Changes

# A command, and the lines that come of it: events in their order, then the answer, stats left out (see `short`).
ORDER = (
    ("create ROOT v p", "= 0 ROOT"),
    ("get ROOT w", "= 0 v"),
    ("children ROOT w", "= 0 []"),
    ("exists ROOT/k w", "= -101"),
    ("create ROOT/k v p", "! created ROOT/k", "! children ROOT", "= 0 ROOT/k"),
    ("get ROOT/k w", "= 0 v"),
    ("children ROOT/k w", "= 0 []"),
    ("children ROOT w", "= 0 [k]"),
    # Once, though two watches of the client are there for it.
    ("delete ROOT/k -1", "! deleted ROOT/k", "! children ROOT", "= 0"),
    ("set ROOT w -1", "! changed ROOT", "= 0 1 2 0 - 1 0"),
    ("set ROOT v -1", "= 0 2 2 0 - 1 0"),
    # No events of what fails, of reads, or of an ACL.
    ("get ROOT w", "= 0 v"),
    ("set ROOT v 7", "= -103"),
    ("delete ROOT/none -1", "= -101"),
    ("create ROOT v p", "= -110"),
    ("setacl ROOT 31:world:anyone", "= 0"),
    ("sync ROOT", "= 0 ROOT"),
    ("set ROOT v -1", "! changed ROOT", "= 0 3 2 1 - 1 0"),
    # A multi tells per operation; one that fails tells nothing.
    ("get ROOT w", "= 0 v"),
    ("children ROOT w", "= 0 []"),
    ("exists ROOT/m w", "= -101"),
    ("exists ROOT/n w", "= -101"),
    ("multi create ROOT/m v p ; create ROOT/n v p ; check ROOT 99", "= -103 0 0 -103"),
    ("multi delete ROOT/none -1 ; create ROOT/m v p", "= -101 -101 -2"),
    (
        "multi create ROOT/n v p ; set ROOT w -1 ; create ROOT/m v p ; delete ROOT/m -1",
        *("! created ROOT/n", "! children ROOT", "! changed ROOT", "! created ROOT/m"),
        "= 0 0:ROOT/n 0:4 0:ROOT/m 0",
    ),
    ("children ROOT w", "= 0 [n]"),
    ("create ROOT/s- v s", "! children ROOT", "= 0 ROOT/s-0000000003"),
    ("exists ROOT/s-0000000004 w", "= -101"),
    ("create ROOT/s- v es", "! created ROOT/s-0000000004", "= 0 ROOT/s-0000000004"),
)
# What only the Java client can arm.
LASTING_ORDER = (
    ("create ROOT/t v p", "! children ROOT", "= 0 ROOT/t"),
    ("addwatch ROOT/t recursive", "= 0"),
    ("addwatch ROOT/p persistent", "= 0"),
    ("create ROOT/t/a v p", "! created ROOT/t/a", "= 0 ROOT/t/a"),
    ("get ROOT/t/a w", "= 0 v"),
    # Once, though two modes are there for it.
    ("set ROOT/t/a w -1", "! changed ROOT/t/a", "= 0 1 0 0 - 1 0"),
    (
        "multi create ROOT/t/b v p ; set ROOT/t/b w -1 ; create ROOT/p v p ; delete ROOT/t/b -1 ; delete ROOT/p -1",
        *("! created ROOT/t/b", "! changed ROOT/t/b", "! created ROOT/p", "! deleted ROOT/t/b", "! deleted ROOT/p"),
        "= 0 0:ROOT/t/b 0:1 0:ROOT/p 0 0",
    ),
    ("create ROOT/p v p", "! created ROOT/p", "= 0 ROOT/p"),
    ("create ROOT/p/k v e", "! children ROOT/p", "= 0 ROOT/p/k"),
    ("delete ROOT/p/k -1", "! children ROOT/p", "= 0"),
)


def short(line: str) -> str:
    """Without the stat behind a name, data or children."""
    words = line.split()
    return " ".join(words[:3]) if len(words) == 9 and words[:2] == ["=", "0"] else line


def in_order(context: Context, role: str) -> None:
    servers = context.serving()
    home = servers.pick(role)
    for kind in (CClient, JavaClient):
        subject = kind(context, home.address)
        subject.state("connected")
        script = ORDER + LASTING_ORDER if kind.persistent else ORDER
        # The watch that LASTING_ORDER's first line sets off.
        extra = (("children ROOT w", "= 0 [n,s-0000000003,s-0000000004]"),) if kind.persistent else ()
        for command, *lines in (*ORDER, *extra, *script[len(ORDER) :]):
            subject.do(command.replace("ROOT", f"/{kind.name}"))
            wanted = [line.replace("ROOT", f"/{kind.name}") for line in lines]
            same([short(line) for line in subject.told()], wanted, f"what {subject} says to `{command}`")
        subject.close()


for _role in ("follower", "leader"):

    def _run(context: Context, role: str = _role) -> None:
        in_order(context, role)

    _run.__doc__ = f"events of one's own writes come before their answers, once, in order; on the {_role}"
    test(f"events.order.{_role}", ci=_role == "follower")(_run)


@test("events.ephemerals")
def ephemerals(context: Context) -> None:
    """a session that closes: deleted for each of its znodes, their parent once for a one-shot watch, in one zxid"""
    servers = context.serving()
    owner = CClient(context, servers.leader().address)
    owner.state("connected")
    owner.ok("create /e v p")
    for name in "abc":
        owner.ok(f"create /e/{name} v e")
    gate = Gate(context, servers.follower())
    watcher = JavaClient(context, gate.address)
    watcher.state("connected")
    watcher.settle()
    for name in "abc":
        equal(watcher.ok(f"get /e/{name} w").split()[4], "other", "the owner of an ephemeral")
    # In this order for the sake of 3.8, see `Case.modes`.
    watcher.ok("addwatch /e recursive")
    watcher.ok("children /e w")
    equal(watcher.take(), [], "events while the owner lives")
    owner.close()
    until(f"the close to arrive, {gate.last.events}", lambda: watcher.ok("children /e").startswith("[] "))
    heard = watcher.take()
    equal(sorted(heard), ["children /e", "deleted /e/a", "deleted /e/b", "deleted /e/c"], "events of the close")
    check(heard[1] == "children /e", f"the parent's event comes behind that of its first child: {heard}")
    if "java" not in context.options.kinds:
        # 3.8 sends -1 there.
        equal(len({event.zxid for event in gate.last.events}), 1, f"zxids of {gate.last.events}")
    equal(watcher.ok("children /e").split()[0], "[]", "children afterwards")


@test("events.removal")
def removal(context: Context) -> None:
    """watches that were removed are silent, stay so after a reconnection, and removing nothing is -121"""
    servers = context.serving()
    home = servers.follower()
    changes = Changes(context, home)
    for kind in (CClient, JavaClient):
        gate = Gate(context, home)
        subject = kind(context, gate.address)
        subject.state("connected")
        root = f"/{kind.name}"
        changes.run([f"create {root}", f"create {root}/kept"])
        subject.settle()
        for command in (f"get {root} w", f"children {root} w", f"get {root}/kept w"):
            subject.ok(command)
        equal(subject.do(f"unwatch {root} data"), "0", "removal of a data watch")
        # Java tells the watcher, as the C client does in its own words.
        subject.take()
        changes.run([f"set {root}"])
        equal(subject.take(), [], f"events of {subject} after the removal of its data watch")
        changes.run([f"create {root}/k"])
        equal(subject.take(), [f"children {root}"], f"events of {subject} with its child watch")
        equal(subject.do(f"unwatch {root} any"), "-121", "removal of what has fired")
        subject.ok(f"children {root} w")
        if kind.persistent:
            lasting(subject, changes, root)
        subject.ok(f"get {root} w")
        equal(subject.do(f"unwatch {root} any"), "0", "removal of all watches")
        subject.take()
        gate.hold()
        gate.cut()
        subject.state("disconnected")
        changes.run([f"set {root}", f"delete {root}/k", f"set {root}/kept"])
        gate.open(home)
        subject.state("connected")
        equal(subject.take(), [f"changed {root}/kept"], f"events of {subject} after a reconnection")
        sent = next(r for r in gate.last.requests if r.op in (gates.SET_WATCHES, gates.SET_WATCHES2))
        equal(watch_lists(sent), [[f"{root}/kept"], [], []], f"what {subject} re-registers")
        subject.close()


def lasting(subject: Program, changes: Changes, root: str) -> None:
    """Persistent watches are removed with type `any`, one watcher of many by checkWatches."""
    for mode in ("persistent", "recursive"):
        path = f"{root}/{mode}"
        changes.run([f"create {path}"])
        subject.take()
        subject.ok(f"addwatch {path} {mode}")
        changes.run([f"set {path}", f"set {path}"])
        equal(subject.take(), [f"changed {path}"] * 2, f"events of a {mode} watch")
        equal(subject.do(f"unwatch {path} children"), "-121", f"removal of a child watch where a {mode} one is")
        equal(subject.do(f"checkwatch {path} any"), "0", f"removal of the only watcher of a {mode} watch")
        subject.take()
        changes.run([f"set {path}", f"create {path}/k"])
        equal(subject.take(), [], f"events after the removal of a {mode} watch")


@test("events.many", ci=False)
def many(context: Context) -> None:
    """3,000 watches of long paths, by Java in several setWatches: each missed change is told once"""
    servers = context.serving()
    home = servers.follower()
    changes = Changes(context, home)
    count, long = 3000, "n" * 100
    for start in range(0, count, 500):
        transaction = changes.zk.transaction()
        for number in range(start, start + 500):
            transaction.create(f"/{number:04}-{long}")
        check(not any(isinstance(result, Exception) for result in transaction.commit()), "a multi of 500 creates")
    for kind in (CClient, JavaClient):
        gate = Gate(context, home)
        subject = kind(context, gate.address)
        subject.state("connected")
        subject.settle()
        for number in range(count):
            subject.send(f"get /{number:04}-{long} w")
        for _ in range(count):
            check(subject.answer().startswith("0 "), "get")
        subject.take()
        gate.hold()
        gate.cut()
        subject.state("disconnected")
        changed = [f"/{number:04}-{long}" for number in range(0, count, 10)]
        for result in [changes.zk.set_async(path, b"changed") for path in changed]:
            result.get(60)
        gate.open(home)
        subject.state("connected")
        heard = subject.take()
        equal(sorted(heard), [f"changed {path}" for path in changed], f"events of {subject}")
        sent = [r for r in gate.last.requests if r.op == gates.SET_WATCHES]
        check((len(sent) > 1) == (kind is JavaClient), f"{len(sent)} setWatches of {subject}")
        equal(sum(len(watch_lists(request)[0]) for request in sent), count, f"paths in the setWatches of {subject}")
        for result in [changes.zk.set_async(f"/{number:04}-{long}", b"again") for number in range(count)]:
            result.get(60)
        rest = [f"changed /{number:04}-{long}" for number in range(count) if number % 10]
        same(subject.take(), rest, f"events of the watches of {subject} that were armed again")
        context.say(f"{subject}: {count} paths in {len(sent)} setWatches")
        subject.close()


@test("events.recipes")
def recipes(context: Context) -> None:
    """kazoo's DataWatch and ChildrenWatch read again after a failover: each new value is told once"""
    servers = context.serving()
    home = servers.follower()
    gate = Gate(context, home)
    kazoo = Kazoo(context, gate.address)
    kazoo.state("connected")
    seen: dict[str, list[object]] = {}
    lock = threading.Lock()

    def note(path: str) -> Callable[..., None]:
        def told(value: object, *_: object) -> None:
            with lock:
                seen.setdefault(path, []).append(value)

        return told

    changes = Changes(context, home)
    changes.run([f"create {path}" for path in ("/same", "/set", "/gone", "/again", "/kids", "/kids-same")])
    kazoo.settle()
    for path in ("/same", "/set", "/gone", "/missing", "/again"):
        kazoo.zk.DataWatch(path, note(path))
    for path in ("/kids", "/kids-same"):
        kazoo.zk.ChildrenWatch(path, note(path))
    first = {path: [b"new"] for path in ("/same", "/set", "/gone", "/again")}
    first |= {"/missing": [None], "/kids": [[]], "/kids-same": [[]]}
    until(f"first values, {seen}", lambda: seen == first)
    gate.hold()
    home.kill9()
    kazoo.state("disconnected")
    other = servers.follower()
    changes = Changes(context, other)
    changes.run(["set /set", "delete /gone", "create /missing", "delete /again", "create /again", "create /kids/k"])
    gate.open(other)
    wanted = first | {
        "/set": [b"new", b"changed"],
        "/gone": [b"new", None],
        "/missing": [None, b"new"],
        "/again": [b"new", b"new"],
        "/kids": [[], ["k"]],
    }
    until(f"what changed meanwhile, {seen}", lambda: seen == wanted)
    kazoo.state("connected")
    # What is read again is armed again, once per znode.
    rearmed = 2 * len(first)
    until("the watchers to read again", lambda: sum(op in (3, 4, 8, 12) for op in gate.last.ops) >= rearmed)
    kazoo.settle()
    equal(seen, wanted, "values told after the failover")
    check(gates.SET_WATCHES not in gate.last.ops, f"kazoo sends no setWatches: {gate.last.ops}")
    changes.run([*[f"set {path}" for path in ("/same", "/set", "/missing", "/again")], "create /gone"])
    changes.run(["create /kids/l", "create /kids-same/k"])
    for path in ("/same", "/missing", "/again"):
        wanted[path] = [*wanted[path], b"changed"]
    # The znode changed, its bytes did not.
    wanted["/set"] = [*wanted["/set"], b"changed"]
    wanted |= {"/gone": [b"new", None, b"new"], "/kids": [[], ["k"], ["k", "l"]], "/kids-same": [[], ["k"]]}
    until(f"later changes, {seen}", lambda: seen == wanted)


class AddWatch(namedtuple("AddWatch", "path mode")):
    """The request that kazoo 2.11 lacks, in the form of its own requests."""

    type = gates.ADD_WATCH

    def serialize(self) -> bytes:
        """Its body."""
        return wire.text(self.path) + struct.pack(">i", self.mode)

    @classmethod
    def deserialize(cls, raw: bytes, offset: int) -> int:
        """What stands in the answer."""
        return struct.unpack_from(">i", raw, offset)[0]


@test("events.kazoo_lasting")
def kazoo_lasting(context: Context) -> None:
    """addWatch put into kazoo's queue: its events on the wire, none after a failover until it asks again"""
    servers = context.serving()
    home = servers.follower()
    gate = Gate(context, home)
    kazoo = Kazoo(context, gate.address)
    kazoo.state("connected")
    changes = Changes(context, home)
    changes.run(["create /p", "create /r"])

    def arm() -> None:
        kazoo.settle()
        for path, mode in (("/p", 0), ("/r", 1)):
            answer = kazoo.zk.handler.async_result()
            kazoo.zk._call(AddWatch(path, mode), answer)
            equal(answer.get(60), 0, "the body of addWatch's answer")

    changed = ["set /p", "create /p/k", "set /r", "create /r/k", "set /r/k", "delete /r/k", "delete /p/k", "set /p"]
    wanted = ["changed /p", "children /p", "changed /r", "created /r/k", "changed /r/k", "deleted /r/k", "children /p"]
    wanted.append("changed /p")
    arm()
    # kazoo's own watcher beside them hears once; only where the server keeps all modes (see `Case.modes`).
    beside = "java" not in context.options.kinds
    if beside:
        kazoo.ok("get /p w")
    changes.run(changed)
    equal(kazoo.take(), ["changed /p"] if beside else [], "what kazoo's own watcher has heard")
    same([str(event) for event in gate.last.events], wanted, "events on the wire")
    gate.hold()
    home.kill9()
    kazoo.state("disconnected")
    other = servers.follower()
    changes = Changes(context, other)
    changes.run(changed)
    gate.open(other)
    kazoo.state("connected")
    kazoo.settle()
    changes.run(changed)
    kazoo.settle()
    equal(gate.last.events, [], "events after the failover")
    arm()
    changes.run(changed)
    kazoo.settle()
    same([str(event) for event in gate.last.events], wanted, "events on the wire when kazoo has asked again")
    equal(Observed(context, other.address).zk.get("/p")[0], b"changed", "the znode")
