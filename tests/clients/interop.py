"""Quorate and Java servers in one ensemble: who leads, who follows and who was here before makes no difference.

The letters of a test's name are the servers from id 1 on, j for Java and q for Quorate; the last voter leads at first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from kazoo.exceptions import BadVersionError, NodeExistsError, NoNodeError, NotEmptyError, RolledBackError
from kazoo.protocol.states import EventType
from kazoo.security import make_acl, make_digest_acl

from . import wire
from .ensemble import Ensemble, Server
from .harness import Context, check, equal, raises, test, until
from .kill9 import Pool, prepare, verify
from .mixed import MULTI, Printed, Stir, create_many, digests_agree, mixed, multi, newest_zxid, same_trees
from .session import Observed, saw

COMBINATIONS = ("qjj", "jjq", "qqj", "jqq")
# Java keeps this many transactions in memory at least, so it is what a learner may lag behind and get a DIFF from there.
WINDOW = 500
CLIENTS = 8


def each(names: tuple[str, ...], prefix: str, summary: str, body: Callable[[Context, str], None], limit_s: int) -> None:
    """Registers one test per name."""
    for name in names:

        def run(context: Context, name: str = name) -> None:
            body(context, name)

        run.__doc__ = summary.format(name=name)
        test(f"{prefix}.{name}", limit_s)(run)


def sessions(context: Context, letters: str) -> None:
    servers = mixed(context, letters)
    clients = [Observed(context, server.address) for server in servers.servers]
    for step in (writes, errors, sequences, multis, watches):
        step(clients)
    syncs(servers, clients)
    crowded(servers)
    resumed(servers)
    expired(servers, clients)
    kept(servers)
    for client in clients:
        create_through(client, 60)
    paths = len(same_trees(servers.servers))
    compared = digests_agree(servers.servers)
    check(compared > 0, "no sample of a digest was compared")
    context.say(f"{paths} znodes equal on all servers, {compared} samples of the digest")


def create_through(client: Observed, count: int) -> None:
    """Enough transactions for Java to take samples of the digest."""
    for name in [client.zk.create_async("/tree/many-", b"", sequence=True) for _ in range(count)]:
        name.get()


def writes(clients: list[Observed]) -> None:
    """Every kind of write through every server."""
    clients[0].zk.ensure_path("/tree")
    for index, client in enumerate(clients):
        zk = client.zk
        zk.sync("/tree")
        for number in range(4):
            zk.create(f"/tree/{index}-{number}", b"%d" % number)
        equal(zk.set(f"/tree/{index}-0", b"changed").version, 1, "version after a set")
        zk.delete(f"/tree/{index}-2")
        zk.create(f"/tree/{index}-1/e", b"", ephemeral=True)
        zk.create(f"/tree/{index}-1/c", b"x" * 5000)
        acl = [make_acl("world", "anyone", read=True), make_digest_acl("user", f"secret{index}", all=True)]
        equal(zk.set_acls(f"/tree/{index}-3", acl).aversion, 1, "aversion after setACL")
    for index in range(len(clients)):
        other = clients[(index + 1) % len(clients)].zk
        other.sync("/tree")
        equal(other.set(f"/tree/{index}-0", b"by another").version, 2, "version after a set through another server")


def errors(clients: list[Observed]) -> None:
    """A write that fails gets its own answer, in order with those that do not."""
    for index, client in enumerate(clients):
        zk = client.zk
        raises(BadVersionError, lambda zk=zk, i=index: zk.set(f"/tree/{i}-0", b"", version=77), "set at a wrong version")
        raises(NodeExistsError, lambda zk=zk, i=index: zk.create(f"/tree/{i}-0"), "create of what exists")
        raises(NoNodeError, lambda zk=zk: zk.delete("/nowhere"), "delete of nothing")
        raises(NotEmptyError, lambda zk=zk, i=index: zk.delete(f"/tree/{i}-1"), "delete with children")
        pending = [zk.create_async(f"/tree/{index}-0"), zk.create_async(f"/tree/{index}-after")]
        raises(NodeExistsError, pending[0].get, "create of what exists, others behind it")
        equal(pending[1].get(), f"/tree/{index}-after", "create behind one that failed")


def sequences(clients: list[Observed]) -> None:
    """Sequential names go on, whichever server they come through."""
    clients[0].zk.create("/queue")
    wanted = 0
    for round_ in range(3):
        for client in clients:
            client.zk.sync("/queue")
            name = client.zk.create("/queue/item-", b"", sequence=True, ephemeral=round_ == 1)
            equal(name, f"/queue/item-{wanted:010}", "a sequential name")
            if round_ == 2:
                client.zk.delete(name)
            wanted += 1


def multis(clients: list[Observed]) -> None:
    """All of a multi, or nothing of it."""
    for index, client in enumerate(clients):
        base = f"/multi-{index}"
        good = client.zk.transaction()
        good.create(base, b"parent")
        good.create(f"{base}/s-", b"", sequence=True)
        good.create(f"{base}/e", b"", ephemeral=True)
        good.check(base, 0)
        good.set_data(base, b"changed")
        good.create(f"{base}/gone")
        good.delete(f"{base}/gone")
        results = good.commit()
        check(not any(isinstance(r, Exception) for r in results), f"a multi that must succeed: {results}")
        equal(results[1], f"{base}/s-0000000000", "a sequential name in a multi")
        bad = client.zk.transaction()
        bad.create(f"{base}/never")
        bad.check(base, 55)
        bad.set_data(base, b"never")
        kinds = [type(result) for result in bad.commit()]
        equal(kinds[:2], [RolledBackError, BadVersionError], "the results of a multi that fails")
        equal(sorted(client.zk.get_children(base)), ["e", "s-0000000000"], "children after both")


def watches(clients: list[Observed]) -> None:
    """A watch at every server, fired by a write through every other."""
    for writer in clients:
        writer.zk.sync("/")
        writer.zk.create("/watched", b"")
        for client in clients:
            client.events.clear()
            client.zk.sync("/watched")
            client.zk.get("/watched", watch=client.watch)
            client.zk.get_children("/watched", watch=client.watch)
        writer.zk.set("/watched", b"now")
        writer.zk.create("/watched/child")
        for client in clients:
            until("CHANGED at every server", lambda c=client: saw(c, EventType.CHANGED, "/watched"))
            until("CHILD at every server", lambda c=client: saw(c, EventType.CHILD, "/watched"))
        for client in clients:
            client.events.clear()
            client.zk.exists("/watched/child", watch=client.watch)
        writer.zk.delete("/watched/child")
        writer.zk.delete("/watched")
        for client in clients:
            until("DELETED at every server", lambda c=client: saw(c, EventType.DELETED, "/watched/child"))
        for client in clients:
            client.zk.sync("/")


def syncs(servers: Ensemble, clients: list[Observed]) -> None:
    """What one server has acknowledged, every other one shows after a sync; but see below."""
    clients[0].zk.create("/synced", b"")
    # At a Java leader a sync does not wait for what it has told its followers to commit and has not applied itself.
    lax = [index for index, s in enumerate(servers.servers) if s.kind == "java" and s.mode() == "leader"]
    for number in range(40):
        writer = clients[number % len(clients)]
        writer.zk.sync("/synced")
        stat = writer.zk.set("/synced", b"%d" % number)
        for index, client in enumerate(clients):
            client.zk.sync("/synced")
            wanted = (b"%d" % number, stat)
            if index in lax:
                until("the write to be applied", lambda c=client, w=wanted: c.zk.get("/synced") == w)
            equal(client.zk.get("/synced"), wanted, f"a read after sync at {servers.servers[index]}")


def crowded(servers: Ensemble) -> None:
    """Many clients with writes and syncs in flight at once: each gets its own answer, in its order.

    A Java learner has one queue for the writes and syncs of all its clients; a leader that answers in another order than
    it was asked in leaves it waiting for ever.
    """
    clients = [wire.Client(server.client_port) for server in servers.servers for _ in range(6)]
    for number, client in enumerate(clients):
        equal(client.call(wire.CREATE, wire.create(f"/crowd-{number}", b"")).err, 0, "create")
    for round_ in range(30):
        asked = []
        for number, client in enumerate(clients):
            for step in range(5):
                if (number + step + round_) % 2:
                    xid = client.send(wire.SET_DATA, wire.set_data(f"/crowd-{number}", b"%d" % step))
                else:
                    xid = client.send(wire.SYNC, wire.text("/"))
                asked.append((client, xid))
        for client, xid in asked:
            reply = client.receive()
            equal((reply.xid, reply.err), (xid, 0), "xid and error of a reply in the crowd")
    for client in clients:
        client.close()


def resumed(servers: Ensemble) -> None:
    """A session begun at one server goes on at every other, with its ephemerals, and ends everywhere."""
    for begin in servers.servers:
        for then in servers.servers:
            if then is begin:
                continue
            client = wire.Client(begin.client_port)
            equal(client.call(wire.CREATE, wire.create("/moving", b"", wire.EPHEMERAL)).err, 0, "create at the first")
            client.drop()
            session = client.session
            stranger = wire.Session(session.timeout_ms, session.id, b"not its password")
            raises(
                ConnectionError,
                lambda then=then, stranger=stranger: wire.Client(then.client_port, stranger),
                f"a session at {then} with a wrong password",
            )
            again = until(f"{then} to have seen as much", lambda t=then, s=session: caught_up(t, s))
            equal(again.session.id, session.id, f"id of the session begun at {begin} and resumed at {then}")
            stat = again.call(wire.EXISTS, wire.read("/moving")).stat()
            equal(stat.ephemeral_owner, session.id, "owner of the ephemeral")
            equal(again.call(wire.SET_DATA, wire.set_data("/moving", b"here")).err, 0, "write after the move")
            again.close()
            gone_everywhere(servers, "/moving")
            raises(
                ConnectionError,
                lambda begin=begin, session=session: wire.Client(begin.client_port, session),
                f"a closed session at {begin}",
            )


def caught_up(server: Server, session: wire.Session) -> wire.Client | None:
    """Takes up a session, unless the server has not applied yet what the client has seen: then it closes."""
    try:
        return wire.Client(server.client_port, session)
    except ConnectionError as error:
        check("expired" not in str(error), f"the session {session.id:#x} at {server}: {error}")
        return None


def gone_everywhere(servers: Ensemble, path: str) -> None:
    for server in servers.servers:
        with wire.Client(server.client_port) as client:
            client.call(wire.SYNC, wire.text("/"))
            equal(client.call(wire.EXISTS, wire.read(path)).err, wire.NO_NODE, f"{path} at {server} after its session")
            client.close()


def expired(servers: Ensemble, clients: list[Observed]) -> None:
    """A client that dies takes its ephemeral with it, at every server."""
    for server in servers.servers:
        dying = wire.Client(server.client_port, wire.Session(timeout_ms=1500))
        equal(dying.call(wire.CREATE, wire.create("/dying", b"", wire.EPHEMERAL)).err, 0, "create of an ephemeral")
        for client in clients:
            client.events.clear()
            client.zk.sync("/")
            check(client.zk.exists("/dying", watch=client.watch), "the ephemeral while its session lives")
        dying.drop()
        for client in clients:
            until("DELETED at every server", lambda c=client: saw(c, EventType.DELETED, "/dying"))
        gone_everywhere(servers, "/dying")


def kept(servers: Ensemble) -> None:
    """Pings through any server keep a session: a learner tells its leader of them."""
    alive = [wire.Client(server.client_port, wire.Session(timeout_ms=2000)) for server in servers.servers]
    end = time.monotonic() + 6
    while time.monotonic() < end:
        for client in alive:
            client.ping()
        # The interval is what the test is about: pings at a third of the timeout.
        time.sleep(0.5)
    for server, client in zip(servers.servers, alive, strict=True):
        equal(client.call(wire.EXISTS, wire.read("/")).err, 0, f"a session at {server} after three timeouts of pings")
        client.close()


each(
    COMBINATIONS,
    "interop.session",
    "{name}: writes, reads, watches, sessions, multi and sync through every server",
    sessions,
    limit_s=240,
)


def observed(context: Context, letters: str) -> None:
    servers = mixed(context, letters)
    observer = servers.servers[-1]
    clients = [Observed(context, server.address) for server in servers.servers]
    for step in (writes, errors, sequences, multis, watches):
        step(clients)
    syncs(servers, clients)
    crowded(servers)
    for client in clients:
        client.close()
    resumed(servers)
    kept(servers)
    same_trees(servers.servers)
    leader = servers.leader()
    with wire.Client(leader.client_port) as client:
        observer.kill9()
        equal(client.call(wire.CREATE, wire.create("/missed", b"")).err, 0, "create")
        create_many(client, "/missed", 100)
        with Busy(leader, "/busy"):
            observer.start()
            until(f"{observer} to serve", observer.serves)
        client.close()
    paths = len(same_trees(servers.servers))
    compared = digests_agree(servers.servers)
    context.say(f"{paths} znodes equal on all servers, {compared} samples of the digest")


each(
    ("qjj+q", "jqq+j", "jjq+j"),
    "interop.observer",
    "{name}: an observer, behind the +, does what a follower does",
    observed,
    limit_s=240,
)


def killed(context: Context, letters: str) -> None:
    servers = mixed(context, letters)
    prepare(servers)
    pool = Pool(context, servers, CLIENTS)
    seen: dict[tuple[str, int], int] = {}
    for number in range(1, context.options.rounds // 3 + 3):
        pool.progress("before the kill")
        victim = servers.leader()
        printed = Printed(servers)
        victim.kill9()
        if number % 2:
            pool.progress(f"without {victim}")
        victim.start()
        servers.wait_serving()
        synchronised = newest_zxid(servers.servers)
        pool.progress(f"with {victim} again")
        now = servers.leader()
        how = "" if now.kind == victim.kind == "quorate" or now is victim else f" by {printed.sync_of(victim)}"
        pool.quiet()
        children = verify(servers, pool, seen)
        same_trees(servers.servers)
        compared = digests_agree(servers.servers, above=synchronised)
        context.say(
            f"round {number}: killed {victim} ({victim.kind}), back under {now} ({now.kind}){how}; {children} children"
            f" verified, {compared} samples of the digest"
        )
        pool.resume()
    pool.check()


each(
    COMBINATIONS,
    "interop.kill9",
    "{name}: leaders killed with kill -9 under writing clients, and back",
    killed,
    limit_s=400,
)


def lagging(context: Context, name: str) -> None:
    letters, source = name.split("-")
    count, factor, wanted = {
        "window": (WINDOW // 3, 0.33, "DIFF"),
        "log": (WINDOW * 3, 1_000_000, "DIFF"),
        "snap": (WINDOW * 3, -1, "SNAP"),
    }[source]
    servers = mixed(context, letters, snapshotSizeFactor=factor, snapCount=100_000)
    learner, leader = servers.servers[0], servers.servers[-1]
    with wire.Client(leader.client_port) as client:
        equal(client.call(wire.CREATE, wire.create("/before", b"")).err, 0, "create")
        create_many(client, "/before", 50)
        for round_ in range(2):
            learner.kill9()
            equal(client.call(wire.CREATE, wire.create(f"/missed-{round_}", b"")).err, 0, "create")
            create_many(client, f"/missed-{round_}", count)
            printed = Printed(servers)
            # Writes go on while it catches up.
            with Busy(leader, f"/busy-{round_}"):
                learner.start()
                until(f"{learner} to serve", learner.serves)
            equal(leader.mode(), "leader", f"role of {leader} at the end")
            equal(printed.sync_of(learner), wanted, f"how {learner} ({learner.kind}) was brought up to date")
            paths = len(same_trees(servers.servers))
            compared = digests_agree(servers.servers)
            context.say(f"{learner} ({learner.kind}) is back by {wanted}, {paths} znodes, {compared} digests compared")
        client.close()


class Busy:
    """A client that creates one znode after the other."""

    def __init__(self, server: Server, parent: str) -> None:
        self.server, self.parent = server, parent
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.count = 0
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            with wire.Client(self.server.client_port) as client:
                client.call(wire.CREATE, wire.create(self.parent, b""))
                while not self.ended.is_set():
                    reply = client.call(wire.CREATE, wire.create(f"{self.parent}/{self.count}", b"busy"))
                    equal(reply.err, 0, f"create of {self.parent}/{self.count}")
                    client.call(wire.SET_DATA, wire.set_data(self.parent, b"%d" % self.count))
                    self.count += 1
                client.close()
        except Exception as error:
            self.failure = error

    def __enter__(self) -> Busy:
        self.thread.start()
        until("the first writes", lambda: self.count > 5 or self.failure)
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self.ended.set()
        self.thread.join(30)
        if kind is None and self.failure is not None:
            raise self.failure


each(
    tuple(f"{letters}-{source}" for letters in ("qjj", "jqq", "jjq") for source in ("window", "log", "snap")),
    "interop.lag",
    "{name}: server 1 was away and catches up while others write",
    lagging,
    limit_s=180,
)


def cut(context: Context, name: str) -> None:
    letters, writes_meanwhile = name.split("-")
    servers = mixed(context, letters, stirred=False)
    others, old = servers.servers[:-1], servers.servers[-1]
    stir = Stir(context, servers)
    with wire.Client(old.client_port) as client:
        equal(client.call(wire.CREATE, wire.create("/kept", b"")).err, 0, "create")
        create_many(client, "/kept", 30)
        for server in others:
            server.wait_logged("/kept/n-29")
        stir.stop()
        # They receive nothing more, which their leader cannot know yet: what follows is logged by it alone.
        for server in others:
            server.freeze()
        for number in range(20):
            client.send(wire.CREATE, wire.create(f"/alone-{number}", b""))
        old.wait_logged("/alone-19")
        for server in servers.servers:
            server.kill9()
    for server in others:
        server.start()
    servers.wait_serving()
    if writes_meanwhile == "written":
        with wire.Client(servers.leader().client_port) as client:
            equal(client.call(wire.CREATE, wire.create("/meanwhile", b"")).err, 0, "create")
            client.close()
    printed = Printed(servers)
    old.start()
    servers.wait_serving()
    how = printed.sync_of(old)
    tree = same_trees(servers.servers)
    equal([path for path in tree if path.startswith("/alone")], [], "what the dead leader had alone")
    equal(len([path for path in tree if path.startswith("/kept/")]), 30, "znodes from before")
    check(how in ("TRUNC", "SNAP"), f"{old} was brought up to date by {how}")
    context.say(f"{old} ({old.kind}) is back by {how}")
    # What it has on its disk, too.
    old.kill9()
    old.start()
    servers.wait_serving()
    same_trees(servers.servers)
    digests_agree(servers.servers)


each(
    tuple(f"{letters}-{when}" for letters in ("qqj", "jjq") for when in ("quiet", "written")),
    "interop.cut",
    "{name}: a dead leader returns with transactions that nobody else has",
    cut,
    limit_s=180,
)


def replaced(server: Server, kind: str, servers: Ensemble) -> None:
    complaint = server.stop()
    check(complaint is None, f"{complaint}")
    server.kind = kind
    server.start()
    servers.wait_serving()


@test("interop.rolling", limit_s=600)
def rolling(context: Context) -> None:
    """three Java servers replaced by Quorate one after the other, and back, on their directories, under writing clients"""
    servers = mixed(context, "jjj", snapCount=1000)
    prepare(servers)
    with wire.Client(servers.leader().client_port) as client:
        body = multi((wire.CREATE, wire.create("/of-java", b"")), (wire.CREATE, wire.create("/of-java/child", b"1")))
        equal(client.call(MULTI, body).err, 0, "multi")
        client.close()
    pool = Pool(context, servers, CLIENTS)
    seen: dict[tuple[str, int], int] = {}
    for kind, leader_first in (("quorate", False), ("java", True)):
        leader = servers.leader()
        rest = [server for server in servers.servers if server is not leader]
        for server in [leader, *rest] if leader_first else [*rest, leader]:
            pool.progress("before the next one")
            replaced(server, kind, servers)
            synchronised = newest_zxid(servers.servers)
            pool.progress("with it")
            pool.quiet()
            children = verify(servers, pool, seen)
            paths = len(same_trees(servers.servers))
            digests_agree(servers.servers, above=synchronised)
            now = servers.leader()
            context.say(f"{server} is {kind}, {now} ({now.kind}) leads: {children} children, {paths} znodes verified")
            pool.resume()
    pool.check()
