"""Corners of the protocol through kazoo, the C client and the Java client: the same commands, the same answers."""

from __future__ import annotations

from . import gate as gates
from . import wire
from .gate import Gate
from .harness import Context, check, equal, test, until
from .session import Observed
from .subject import KINDS, CClient, JavaClient, Kazoo, Subject

# A command and its answer, the same for every client. A stat is version, cversion, aversion, owner, length, children.
SAME = (
    ("create ROOT v p", "0 ROOT 0 0 0 - 1 0"),
    ("create ROOT v p", "-110"),
    ("create ROOT/none/k v p", "-101"),
    ("create ROOT/null - p", "0 ROOT/null 0 0 0 - 0 0"),
    ("get ROOT/null", "0 null 0 0 0 - 0 0"),
    ("set ROOT/null v 0", "0 1 0 0 - 1 0"),
    ("set ROOT/null - -1", "0 2 0 0 - 0 0"),
    ("set ROOT/null v 1", "-103"),
    ("set ROOT/none v -1", "-101"),
    ("create ROOT/e v e", "0 ROOT/e 0 0 0 mine 1 0"),
    ("create ROOT/e/k v p", "-108"),
    ("create ROOT/s- v s", "0 ROOT/s-0000000002 0 0 0 - 1 0"),
    ("create ROOT/es- v es", "0 ROOT/es-0000000003 0 0 0 mine 1 0"),
    ("exists ROOT/s-0000000002", "0 0 0 0 - 1 0"),
    ("exists ROOT/s-0000000003", "-101"),
    ("children ROOT", "0 [e,es-0000000003,null,s-0000000002] 0 4 0 - 1 4"),
    ("children ROOT/none", "-101"),
    ("delete ROOT/none -1", "-101"),
    ("delete ROOT -1", "-111"),
    ("delete ROOT/e 7", "-103"),
    ("delete ROOT/e 0", "0"),
    ("sync ROOT", "0 ROOT"),
    ("sync ROOT/none", "0 ROOT/none"),
    ("getacl ROOT", "0 31:world:anyone"),
    ("setacl ROOT/null 0:world:anyone", "0"),
    ("get ROOT/null", "-102"),
    ("set ROOT/null v 77", "-102"),
    ("delete ROOT/null -1", "0"),
    ("setacl ROOT 31:world:someone", "-114"),
    ("setacl ROOT 31:nonsense:x", "-114"),
    ("setacl ROOT 31:world:anyone 1:digest:a:b 31:world:anyone", "0"),
    ("getacl ROOT", "0 31:world:anyone 1:digest:a:b"),
    # Per operation; what a client says of the whole stands before it and differs: `results` leaves it out.
    ("multi create ROOT/m v p ; create ROOT/m/k v p ; set ROOT/m w 0 ; check ROOT/m 1", "0:ROOT/m 0:ROOT/m/k 0:1 0"),
    ("multi delete ROOT/m/k -1 ; delete ROOT/m 7 ; create ROOT/n v p", "0 -103 -2"),
    ("multi create ROOT/m v p ; delete ROOT/m -1", "-110 -2"),
    ("multi create ROOT/n v p ; create ROOT/n v p", "0 -110"),
    ("multi check ROOT/m 1 ; check ROOT/none -1", "0 -101"),
    (
        "multi create ROOT/q- v s ; create ROOT/q- v es ; delete ROOT/m/k -1",
        "0:ROOT/q-0000000005 0:ROOT/q-0000000006 0",
    ),
    ("children ROOT", "0 [es-0000000003,m,q-0000000005,q-0000000006,s-0000000002] 0 9 1 - 1 5"),
)
# What kazoo has no words for.
RICHER = (
    ("create ROOT/c v c", "0 ROOT/c 0 0 0 - 1 0"),
    # Extended types are off: refused, and the connection goes on.
    ("create ROOT/t v t=1000", "-6"),
    ("create ROOT/t- v ts=1000", "-6"),
    ("get ROOT/c", "0 v 0 0 0 - 1 0"),
)
JAVA_ONLY = (
    ("descendants ROOT", "0 6"),
    ("ephemerals ROOT", "0 [ROOT/es-0000000003,ROOT/q-0000000006]"),
    ("ephemerals /none", "0 []"),
    ("whoami", "0 [ip:127.0.0.1]"),
)


def results(command: str, answer: str) -> str:
    """Without what the client says of a multi as a whole."""
    return answer.partition(" ")[2] if command.startswith("multi") else answer


@test("corners.same")
def same_answers(context: Context) -> None:
    """creates, reads, versions, ACLs and multis: each client gets the same answers"""
    servers = context.serving()
    for server, kind in zip(servers.servers, KINDS, strict=True):
        subject = kind(context, server.address)
        subject.state("connected")
        script = SAME
        if kind is not Kazoo:
            script += RICHER
        if kind is JavaClient:
            script += JAVA_ONLY
        root = f"/{kind.name}"
        for command, wanted in script:
            answer = results(command, subject.do(command.replace("ROOT", root)))
            equal(answer, wanted.replace("ROOT", root), f"`{command}` by {subject}")
        equal(subject.states, ["connected"], f"states of {subject}")


@test("corners.extended", ci=False)
def extended(context: Context) -> None:
    """with extended types: TTL znodes and containers are made, and are gone when their time has come"""
    servers = context.serving(**{"extendedTypesEnabled": "true", "znode.container.checkIntervalMs": 500})
    for kind in (CClient, JavaClient):
        subject = kind(context, servers.follower().address)
        subject.state("connected")
        root = f"/{kind.name}"
        subject.ok(f"create {root} v p")
        equal(subject.do(f"create {root}/t v t=600"), f"0 {root}/t 0 0 0 - 1 0", "a TTL znode")
        equal(subject.do(f"create {root}/t- v ts=600"), f"0 {root}/t-0000000001 0 0 0 - 1 0", "a sequential TTL znode")
        equal(subject.do(f"create {root}/c v c"), f"0 {root}/c 0 0 0 - 1 0", "a container")
        subject.ok(f"create {root}/c/k v p")
        subject.ok(f"get {root}/t w")
        subject.ok(f"delete {root}/c/k -1")
        until("the reaper", lambda s=subject, r=root: s.do(f"children {r}").startswith("0 [] "))
        equal(subject.take(), [f"deleted {root}/t"], "the event of a TTL znode that is gone")


@test("corners.auth")
def auth(context: Context) -> None:
    """identities are given again after a failover, one by one from kazoo, before anything that needs them"""
    servers = context.serving()
    home = servers.follower()
    behind = []
    for kind in KINDS:
        gate = Gate(context, home)
        subject = kind(context, gate.address)
        subject.state("connected")
        path = f"/{kind.name}"
        subject.ok(f"create {path} v p")
        for user in ("one", "two", "three"):
            equal(subject.do(f"auth digest {user}:secret"), "0", "auth")
        subject.settle()
        # "auth" stands for each identity of the connection; who may administer sees the digests.
        subject.ok(f"setacl {path} 31:auth:")
        acl = subject.ok(f"getacl {path}").split()
        equal(sorted(x.rsplit(":", 1)[0] for x in acl), [f"31:digest:{u}" for u in ("one", "three", "two")], "its ACL")
        subject.ok(f"get {path} w")
        behind.append((subject, gate, path))
    stranger = CClient(context, servers.leader().address)
    stranger.state("connected")
    stranger.settle()
    for _, gate, path in behind:
        equal(stranger.do(f"get {path}"), "-102", "a read without the identity")
        gate.hold()
    home.kill9()
    other = servers.follower()
    for subject, gate, path in behind:
        subject.state("disconnected")
        gate.open(other)
        subject.state("connected")
        equal(subject.ok(f"get {path}").split()[0], "v", f"a read of {subject} after the failover")
        given = [i for i, op in enumerate(gate.last.ops) if op == gates.AUTH]
        equal(given, [0, 1, 2], f"where {subject} gives its identities")
        answers = [a for a in gate.last.answers if isinstance(a, wire.Reply) and a.xid == gates.AUTH_XID]
        equal([(a.err, a.zxid) for a in answers], [(0, 0)] * 3, "their answers")
        # An event reaches only who may read the znode.
        subject.ok(f"set {path} w -1")
        heard = [f"changed {path}"] if subject.registers else ["none None"]
        equal(subject.take(), heard, f"events of {subject}")
    equal(stranger.do("auth nonsense x"), "-115", "an identity of an unknown scheme")


@test("corners.chroot", ci=False)
def chroot(context: Context) -> None:
    """below a chroot: clients see their own paths, in answers and in events, also after a failover"""
    servers = context.serving()
    home = servers.follower()
    Observed(context, home.address).zk.create("/app")
    for kind in KINDS:
        gate = Gate(context, home)
        subject = kind(context, f"{gate.address}/app")
        subject.state("connected")
        path = f"/{kind.name}"
        subject.settle()
        equal(subject.ok(f"create {path} v p").split()[0], path, "the name of a new znode")
        equal(subject.ok(f"create {path}/s- v s").split()[0], f"{path}/s-0000000000", "a sequential name")
        # Java's client forgets the chroot there.
        full = "/app" if kind is JavaClient else ""
        equal(results("multi", subject.do(f"multi create {path}/m v p")), f"0:{full}{path}/m", "a name in a multi")
        subject.ok(f"children {path} w")
        subject.ok(f"delete {path}/m -1")
        equal(subject.take(), [f"children {path}"], "an event")
        subject.ok(f"get {path} w")
        gate.hold()
        gate.cut()
        subject.state("disconnected")
        Observed(context, home.address).zk.set(f"/app{path}", b"w")
        gate.open(home)
        subject.state("connected")
        equal(subject.take(), [f"changed {path}"] if subject.registers else ["none None"], "events after the failover")
        if subject.registers:
            sent = next(r for r in gate.last.requests if r.op == gates.SET_WATCHES)
            equal(gates.watch_lists(sent), [[f"/app{path}"], [], []], "what it re-registers")


@test("corners.large")
def large(context: Context) -> None:
    """the largest frame is taken, one byte more ends the connection but not the session"""
    servers = context.serving()
    # A set's frame: header, path, data, version.
    most = 0xFFFFF - 8 - (4 + len("/large")) - 4 - 4
    # A get's answer: header, data, stat. Java's client reads no more than 0xFFFFF of it.
    readable = 0xFFFFF - 16 - 4 - 68
    for kind in KINDS:
        subject = kind(context, servers.follower().address)
        subject.state("connected")
        session = subject.ok("session")
        subject.do("create /large v p")
        check(subject.ok(f"set /large *{most} -1").split()[4] == str(most), "the length of the largest data")
        if kind is not JavaClient:
            equal(subject.ok("get /large").split()[0], f"({most})", "the largest data")
        subject.ok(f"set /large *{readable} -1")
        equal(subject.ok("get /large").split()[0], f"({readable})", "the largest data that Java's client reads")
        before = len(subject.states)
        equal(subject.do(f"set /large *{most + 1} -1"), "-4", "one byte more")
        # The loss may be answered before it is told as a state.
        until(f"{subject} to be disconnected", lambda s=subject, n=before: "disconnected" in s.states[n:])
        subject.state("connected")
        equal(subject.ok("get /large").split()[0], f"({readable})", "the data after a set that was too large")
        equal(subject.ok("session"), session, "the session after a set that was too large")
        subject.ok("delete /large -1")


@test("corners.close")
def close(context: Context) -> None:
    """a client that closes its session has the answer before the connection ends, and nothing behind it"""
    home = context.serving().follower()
    gone = Observed(context, home.address)
    for kind in KINDS:
        gate = Gate(context, home)
        subject = kind(context, gate.address)
        subject.state("connected")
        subject.ok("create /mine v e")
        subject.ok("get /mine w")
        passage = gate.last
        subject.close()
        until("the connection to end", lambda p=passage: p.closed)
        equal(passage.ops[-1], wire.CLOSE, f"the last request of {subject}")
        last = passage.answers[-1]
        equal((last.xid, last.err), (passage.requests[-1].xid, 0), f"the last answer to {subject}, {passage.answers}")
        equal(gone.zk.exists("/mine"), None, "its ephemeral, read where it was closed")


@test("corners.expired")
def expired(context: Context) -> None:
    """a session that expires while its client is away: the client is told so, and its ephemerals are gone"""
    servers = context.serving(tickTime=200)
    home = servers.follower()
    watcher = CClient(context, servers.leader().address)
    watcher.state("connected")
    behind = []
    for kind in KINDS:
        gate = Gate(context, home)
        subject = kind(context, gate.address, 1500)
        subject.state("connected")
        session, timeout = subject.ok("session").split()
        if kind is not Kazoo:
            equal(timeout, "1500", "the negotiated timeout")
        subject.ok(f"create /{kind.name} v e")
        watcher.settle()
        equal(watcher.ok(f"get /{kind.name} w").split()[4], "other", "the owner")
        behind.append((subject, gate, session))
    for _, gate, _ in behind:
        gate.hold()
        gate.cut()
    until("the sessions to expire", lambda: len([x for x in watcher.lines if x.startswith("! deleted")]) == len(KINDS))
    for subject, gate, session in behind:
        gate.open(home)
        until(f"{subject} to hear that, {subject.states}", lambda s=subject: "expired" in s.states)
        if isinstance(subject, Kazoo):
            # It begins anew by itself.
            subject.state("connected")
            check(subject.ok("session").split()[0] != session, "a new session id")
            equal(subject.do("exists /kazoo"), "-101", "its ephemeral")


@test("corners.local")
def local(context: Context) -> None:
    """local sessions: they read, write and stay at home until the first ephemeral makes them global"""
    servers = context.serving(localSessionsEnabled="true", localSessionsUpgradingEnabled="true")
    home = servers.follower()
    for kind in KINDS:
        gate = Gate(context, home)
        subject = kind(context, gate.address)
        subject.state("connected")
        session = subject.ok("session").split()[0]
        subject.settle()
        equal(subject.ok(f"create /{kind.name} v p").split()[0], f"/{kind.name}", "a write")
        subject.ok(f"get /{kind.name} w")
        # Local: nobody else knows it, but its own server does.
        gate.hold()
        gate.cut()
        subject.state("disconnected")
        gate.open(home)
        subject.state("connected")
        equal(subject.ok("session").split()[0], session, "the session id at home")
        equal(subject.ok(f"create /{kind.name}/e v e").split()[4], "mine", "the owner of an ephemeral")
        gate.hold()
        gate.cut()
        subject.state("disconnected")
        gate.open(servers.leader())
        subject.state("connected")
        equal(subject.ok("session").split()[0], session, f"the session id of {subject} elsewhere, after the upgrade")
        equal(subject.ok(f"get /{kind.name}/e").split()[4], "mine", "the owner after the move")
        heard = [f"changed /{kind.name}"] if subject.registers else ["none None"] * 1
        subject.ok(f"set /{kind.name} w -1")
        equal(subject.take(), heard, "the watch after two moves")
        subject.close()
    # One that was never upgraded does not move.
    gate = Gate(context, home)
    subject = CClient(context, gate.address)
    subject.state("connected")
    subject.settle()
    gate.hold()
    gate.cut()
    subject.state("disconnected")
    gate.open(servers.leader())
    subject.state("expired")


@test("corners.read_only")
def read_only(context: Context) -> None:
    """a server cut off from its quorum serves those who accept reading only; they move on when the quorum is back"""
    # Java's server lets nobody in there without local sessions; ours does.
    local = {"localSessionsEnabled": "true", "localSessionsUpgradingEnabled": "true"}
    servers = context.serving(**{"readonlymode.enabled": "true"}, **(local if "java" in context.options.kinds else {}))
    home = servers.follower()
    writer = Observed(context, home.address)
    writer.zk.create("/r", b"v")
    writer.close()
    others = [server for server in servers.servers if server is not home]
    for server in others:
        server.kill9()
    until(f"{home} to serve for reading", lambda: home.mode() == "read-only")
    picky = [kind(context, Gate(context, home).address, 6000) for kind in (CClient, JavaClient)]
    readers: list[Subject] = [kind(context, servers.hosts, 6000, read_only=True) for kind in KINDS]
    for reader in readers:
        reader.state("readonly")
        equal(reader.ok("get /r w").split()[0], "v", f"a read of {reader}")
        equal(reader.do("exists /none w"), "-101", f"exists of {reader}")
        equal(reader.ok("children /r").split()[0], "[]", f"children of {reader}")
    # Each waits for its answer: Java's server answers writes out of turn, and Java's client drops the connection then.
    for reader in readers:
        for command in ("set /r w -1", "create /s v p", "delete /r -1", "multi check /r 0"):
            equal(results("x", reader.do(command)).split()[0], "-119", f"`{command}` by {reader}")
        equal(reader.ok("get /r").split()[0], "v", f"a read of {reader} after its writes were refused")
    for subject in picky:
        check("connected" not in subject.states and "readonly" not in subject.states, f"{subject}: {subject.states}")
    for server in others:
        server.start()
    servers.wait_serving()
    for subject in [*picky, *readers]:
        subject.state("connected")
    for reader in readers:
        reader.settle()
        equal(reader.ok(f"create /{reader.name} v e").split()[4], "mine", f"a write of {reader}")
    picky[0].ok("set /r w -1")
    # Watches came along, but kazoo's.
    for reader in readers:
        heard = [line for line in reader.take() if line != "none None"]
        equal(heard, ["changed /r"] if reader.registers else [], f"events of {reader}")
