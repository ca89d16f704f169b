"""The session that every ZooKeeper client has, through kazoo."""

from __future__ import annotations

import re
import threading

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import BadVersionError, NodeExistsError, NoNodeError, NotEmptyError
from kazoo.protocol.states import EventType, WatchedEvent, ZnodeStat

from . import wire
from .harness import Context, check, equal, raises, test, until


class Observed:
    """A kazoo client with the states and watch events it has seen."""

    def __init__(self, context: Context, hosts: str, timeout_s: float = 30.0, **options: object) -> None:
        self.events: list[WatchedEvent] = []
        self.states: list[str] = []
        patient = {"max_tries": -1, "delay": 0.05, "backoff": 1, "max_delay": 0.5}
        options = {"connection_retry": patient, "command_retry": patient, **options}
        self.zk = KazooClient(hosts, timeout=timeout_s, **options)
        self.zk.add_listener(self._on_state)
        self._closing = threading.Event()
        context.cleanup(self.close)
        self.zk.start(timeout=60)

    def _on_state(self, state: str) -> None:
        if not self._closing.is_set():
            self.states.append(state)

    def watch(self, event: WatchedEvent) -> None:
        """A watcher for any read."""
        self.events.append(event)

    @property
    def lost(self) -> bool:
        """Whether its session was lost."""
        return KazooState.LOST in self.states

    def close(self) -> None:
        """Ends the session."""
        self._closing.set()
        self.zk.stop()
        self.zk.close()


def saw(client: Observed, kind: str, path: str) -> bool:
    """Whether a watch event of that kind has come."""
    return any(event.type == kind and event.path == path for event in client.events)


@test("session.basics")
def basics(context: Context) -> None:
    """exists, ensure_path, create, get, set with its stat, the errors, recursive delete"""
    zk = Observed(context, context.serving().hosts).zk
    equal(zk.exists("/app"), None, "exists before anything was created")
    check(zk.ensure_path("/app/one/two"), "ensure_path")
    check(zk.exists("/app/one/two") is not None, "exists after ensure_path")

    first = b"\x00\x01binary\xff"
    equal(zk.create("/app/bytes", first), "/app/bytes", "create returns the path")
    data, stat = zk.get("/app/bytes")
    equal(data, first, "get")
    equal((stat.version, stat.dataLength, stat.numChildren), (0, len(first), 0), "stat of a new znode")
    equal((stat.czxid, stat.ctime), (stat.mzxid, stat.mtime), "a new znode was last modified when created")
    equal(stat.ephemeralOwner, 0, "owner of a persistent znode")

    second = b"some longer value"
    changed = zk.set("/app/bytes", second)
    equal((changed.version, changed.dataLength), (1, len(second)), "version and dataLength that set returns")
    check(changed.czxid != changed.mzxid, "set leaves czxid and moves mzxid")
    equal(changed.czxid, stat.czxid, "czxid after set")
    equal(zk.get("/app/bytes"), (second, changed), "get after set")
    equal(zk.set("/app/bytes", b"", version=1).version, 2, "set at the expected version")
    equal(zk.get("/app/bytes")[0], b"", "empty data")

    raises(BadVersionError, lambda: zk.set("/app/bytes", b"x", version=1), "set at an old version")
    raises(NodeExistsError, lambda: zk.create("/app/bytes"), "create over an existing znode")
    raises(NoNodeError, lambda: zk.create("/nowhere/child"), "create below nothing")
    raises(NoNodeError, lambda: zk.get("/nowhere"), "get of nothing")
    raises(NotEmptyError, lambda: zk.delete("/app"), "delete with children")

    equal(sorted(zk.get_children("/app")), ["bytes", "one"], "children")
    zk.delete("/app", recursive=True)
    equal(zk.exists("/app"), None, "exists after the recursive delete")
    equal(zk.get_children("/"), ["zookeeper"], "what is left at the root")


@test("session.ephemeral")
def ephemeral(context: Context) -> None:
    """an ephemeral vanishes with its session, closed or expired, and fires its watch"""
    servers = context.serving()
    watcher = Observed(context, servers.servers[0].address)
    owner = Observed(context, servers.servers[1].address)
    watcher.zk.create("/members")
    owner.zk.create("/members/closed", b"here", ephemeral=True)
    watcher.zk.sync("/members")
    equal(watcher.zk.get_children("/members", watch=watcher.watch), ["closed"], "children while the owner lives")
    stat = watcher.zk.exists("/members/closed", watch=watcher.watch)
    equal(stat.ephemeralOwner, owner.zk.client_id[0], "ephemeralOwner")

    owner.close()
    until("DELETED of the closed session's znode", lambda: saw(watcher, EventType.DELETED, "/members/closed"))
    until("CHILD of its parent", lambda: saw(watcher, EventType.CHILD, "/members"))
    equal(watcher.zk.exists("/members/closed"), None, "the ephemeral after its session closed")
    equal(len(watcher.events), 2, f"watch events, {watcher.events}")

    # A client that dies: its connection ends, its session only when the leader has waited for the timeout.
    dying = wire.Client(servers.servers[2].client_port, wire.Session(timeout_ms=1500))
    equal(dying.call(wire.CREATE, wire.create("/members/died", b"", wire.EPHEMERAL)).err, 0, "create of an ephemeral")
    watcher.zk.sync("/members")
    check(watcher.zk.exists("/members/died", watch=watcher.watch) is not None, "the ephemeral while its session lives")
    dying.drop()
    until("DELETED of the expired session's znode", lambda: saw(watcher, EventType.DELETED, "/members/died"))
    equal(watcher.zk.get_children("/members"), [], "children at the end")
    raises(
        ConnectionError,
        lambda: wire.Client(servers.servers[0].client_port, dying.session),
        "taking up the expired session",
    )


@test("session.sequential")
def sequential(context: Context) -> None:
    """two sequential names: ten digits, one apart, also across servers"""
    servers = context.serving()
    one, two = (Observed(context, server.address).zk for server in servers.servers[:2])
    one.create("/queue")
    names = [one.create("/queue/item-", b"", sequence=True)]
    two.sync("/queue")
    names.append(two.create("/queue/item-", b"", sequence=True))
    for name in names:
        check(re.fullmatch(r"/queue/item-\d{10}", name), f"the form of {name}")
    equal([int(name[-10:]) for name in names], [0, 1], "the numbers of a new parent's first two")
    mixed = one.create("/queue/item-", b"", sequence=True, ephemeral=True)
    equal(mixed, "/queue/item-0000000002", "an ephemeral sequential name")


@test("session.everywhere")
def everywhere(context: Context) -> None:
    """what was written through one server reads the same through each of the three"""
    servers = context.serving()
    clients = [Observed(context, server.address).zk for server in servers.servers]
    clients[0].ensure_path("/tree")
    for index, zk in enumerate(clients):
        for number in range(3):
            zk.create(f"/tree/{index}-{number}", b"%d" % number, makepath=True)
        zk.set(f"/tree/{index}-0", b"changed")
        zk.delete(f"/tree/{index}-2")
        zk.create(f"/tree/{index}-1/e", b"", ephemeral=True)
    views = [view(zk) for zk in clients]
    equal(len(views[0]), 1 + 9, "znodes in the tree")
    for server, seen in zip(servers.servers[1:], views[1:], strict=True):
        equal(seen, views[0], f"the tree through {server}")


def view(zk: KazooClient) -> dict[str, tuple[bytes, ZnodeStat, list[str]]]:
    """Everything below /tree, after a sync."""
    zk.sync("/tree")
    found, todo = {}, ["/tree"]
    while todo:
        path = todo.pop()
        data, stat = zk.get(path)
        children = sorted(zk.get_children(path))
        equal(zk.exists(path), stat, f"exists and get of {path}")
        found[path] = (data, stat, children)
        todo += [f"{path}/{child}" for child in children]
    return found


@test("session.failover")
def failover(context: Context) -> None:
    """a session, its ephemeral and its writes survive the death of the server it was on"""
    servers = context.serving()
    for role in ("follower", "leader"):
        victim = servers.pick(role)
        client = Observed(context, f"{victim.address},{servers.hosts}", randomize_hosts=False)
        session = client.zk.client_id[0]
        path = f"/of-{role}"
        client.zk.create(path, b"mine", ephemeral=True)
        before = client.zk.get(path)
        victim.kill9()
        context.say(f"killed {victim}, the {role}")
        until("the client to notice", lambda: KazooState.SUSPENDED in client.states)
        equal(client.zk.retry(client.zk.get, path), before, "the ephemeral after the failover")
        equal(client.zk.client_id[0], session, "the session id after the failover")
        check(not client.lost, "the session was lost")
        victim.start()
        servers.wait_serving()
        client.close()
        other = Observed(context, victim.address).zk
        other.sync("/")
        equal(other.exists(path), None, "the ephemeral after its session closed")


@test("session.observer_without_log")
def observer_without_log(context: Context) -> None:
    """an observer with syncEnabled=false serves what it hears, also after another leader, and after its own death"""
    servers = context.serving(4, observers=(4,), syncEnabled="false")
    observer = servers.servers[3]
    writer = Observed(context, ",".join(server.address for server in servers.servers[:3])).zk
    written = 0

    def write_and_read() -> None:
        nonlocal written
        for _ in range(30):
            writer.retry(writer.create, f"/o{written}", b"x" * 100)
            written += 1
        reader = Observed(context, observer.address).zk
        reader.sync("/")
        names = {name for name in reader.get_children("/") if name != "zookeeper"}
        equal(names, {f"o{number}" for number in range(written)}, "what the observer serves")
        reader.create(f"/by-observer-{written}", b"")
        reader.delete(f"/by-observer-{written}")

    write_and_read()
    leader = servers.pick("leader")
    leader.kill9()
    context.say(f"killed {leader}, the leader")
    write_and_read()
    leader.start()
    servers.wait_serving()
    observer.kill9()
    context.say("killed the observer")
    for _ in range(30):
        writer.retry(writer.create, f"/o{written}", b"x" * 100)
        written += 1
    observer.start()
    servers.wait_serving()
    write_and_read()
