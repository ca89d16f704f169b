"""One data directory, opened by Java and by Quorate in turn: the same tree, the same sessions."""

from __future__ import annotations

from kazoo.security import make_digest_acl

from . import wire
from .ensemble import Server
from .harness import Context, check, equal, test, until
from .mixed import (
    CREATE_CONTAINER,
    CREATE_TTL,
    MULTI,
    create_container,
    create_many,
    create_ttl,
    digests_agree,
    dump,
    multi,
    same,
)
from .session import Observed

SNAP_COUNT = 100
# Java draws when to snapshot between half of snapCount and all of it.
WRITES = SNAP_COUNT * 5


def populate(context: Context, server: Server, root: str) -> wire.Client:
    """Writes all there is; the client whose session owns ephemerals, still connected."""
    zk = Observed(context, server.address)
    zk.zk.create(root, b"root")
    zk.zk.create(f"{root}/binary", bytes(range(256)))
    zk.zk.create(f"{root}/empty", b"")
    zk.zk.create(f"{root}/\u00e9\u4e2d", "\u00e9".encode())
    zk.zk.create(f"{root}/large", b"z" * 300_000)
    zk.zk.create(f"{root}/secret", b"s", acl=[make_digest_acl("user", "secret", all=True), *zk.zk.get_acls("/")[0]])
    zk.zk.set_acls(f"{root}/empty", [make_digest_acl("user", "other", read=True), *zk.zk.get_acls("/")[0]])
    numbered = [zk.zk.create(f"{root}/s-", b"%d" % number, sequence=True) for number in range(5)]
    zk.zk.delete(numbered[1])
    zk.zk.set(f"{root}/binary", b"changed")
    zk.close()

    client = wire.Client(server.client_port, wire.Session(timeout_ms=60_000))
    for what, op, body in (
        ("container", CREATE_CONTAINER, create_container(f"{root}/container", b"c")),
        ("child of a container", wire.CREATE, wire.create(f"{root}/container/child", b"")),
        ("TTL znode", CREATE_TTL, create_ttl(f"{root}/ttl", b"t", 3_600_000)),
        ("ephemeral", wire.CREATE, wire.create(f"{root}/mine", b"m", wire.EPHEMERAL)),
        ("sequential ephemeral", wire.CREATE, wire.create(f"{root}/m-", b"", wire.EPHEMERAL | wire.SEQUENTIAL)),
        (
            "multi",
            MULTI,
            multi(
                (wire.CREATE, wire.create(f"{root}/multi", b"")),
                (wire.CREATE, wire.create(f"{root}/multi/e", b"", wire.EPHEMERAL)),
                (wire.SET_DATA, wire.set_data(f"{root}/multi", b"set")),
                (wire.DELETE, wire.delete(numbered[2])),
            ),
        ),
        ("parent of many", wire.CREATE, wire.create(f"{root}/many", b"")),
    ):
        equal(client.call(op, body).err, 0, f"error of the {what}")
    equal(client.call(wire.CREATE, wire.create(f"{root}/multi", b"")).err, wire.NODE_EXISTS, "create of what exists")
    create_many(client, f"{root}/many", WRITES)
    return client


def files(server: Server, prefix: str) -> list[str]:
    """Names in the directory."""
    return sorted(path.name for path in (server.data / "version-2").glob(f"{prefix}.*"))


def turns(context: Context, kill: bool) -> None:
    """Java, Quorate, Java, Quorate: each finds what the ones before left, and adds to it."""
    servers = context.ensemble(1, snapCount=SNAP_COUNT, extendedTypesEnabled="true", preAllocSize=64)
    (server,) = servers.servers
    tree: dict = {}
    owners: list[tuple[wire.Client, str]] = []
    for turn, kind in enumerate(("java", "quorate", "java", "quorate", "java")):
        server.kind = kind
        before = files(server, "snapshot"), files(server, "log")
        server.start()
        servers.wait_serving()
        if turn:
            same(dump(server), tree, f"turn {turn}, {kind}")
        for owner, root in owners:
            again = wire.Client(server.client_port, owner.session)
            equal(again.session.id, owner.session.id, "id of a session from a turn before")
            stat = again.call(wire.EXISTS, wire.read(f"{root}/mine")).stat()
            equal(stat.ephemeral_owner, owner.session.id, "owner of an ephemeral from a turn before")
            equal(again.call(wire.SET_DATA, wire.set_data(f"{root}/mine", b"%d" % turn)).err, 0, "write by its owner")
            again.drop()
        root = f"/turn-{turn}"
        owners.append((populate(context, server, root), root))
        if turn >= 2:
            # A session of another turn ends: its ephemerals go, also in the next turn.
            closing, closed = owners.pop(0)
            again = wire.Client(server.client_port, closing.session)
            again.close()
            check(f"{closed}/mine" not in dump(server), "an ephemeral of a closed session")
        until("a snapshot and a log roll", lambda b=before: grown(server, b))
        tree = dump(server)
        compared = digests_agree([server])
        check(compared >= 0, "digests")
        if kill:
            server.kill9()
        else:
            complaint = server.stop()
            check(complaint is None, f"{complaint}")
        for owner, _ in owners:
            owner.drop()
        context.say(
            f"turn {turn}, {kind}: {len(tree)} znodes, {len(files(server, 'snapshot'))} snapshots,"
            f" {len(files(server, 'log'))} logs"
        )


def grown(server: Server, before: tuple[list[str], list[str]]) -> bool:
    snapshots, logs = files(server, "snapshot"), files(server, "log")
    return len(set(snapshots) - set(before[0])) > 1 and len(set(logs) - set(before[1])) > 1


def dump_without_sessions(server: Server) -> dict:
    """The tree; reading it begins and ends a session, which changes nothing in it."""
    return dump(server)


@test("directories.stopped", limit_s=180)
def stopped(context: Context) -> None:
    """Java, Quorate, Java, ... on one directory, each ended by SIGTERM"""
    turns(context, kill=False)


@test("directories.killed", limit_s=180)
def killed(context: Context) -> None:
    """Java, Quorate, Java, ... on one directory, each ended by SIGKILL"""
    turns(context, kill=True)
