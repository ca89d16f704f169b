"""Ensembles of Quorate and Java servers: their start, and what must be equal on all of them."""

from __future__ import annotations

import contextlib
import struct
import threading
from dataclasses import dataclass, replace

from . import wire
from .ensemble import Ensemble, Server, four_letter
from .harness import Context, check, equal, until

GET_ACL, GET_CHILDREN2, MULTI, CREATE_CONTAINER, CREATE_TTL = 6, 12, 14, 19, 21
CONTAINER, WITH_TTL = 4, 5
KINDS = {"j": "java", "q": "quorate"}

# What the servers print about how a learner is brought up to date, by the side that prints it.
_JAVA_LEADER = {"DIFF": "Sending DIFF zxid", "SNAP": "Sending snapshot last zxid of peer"}
# A Java leader is silent about this one.
_QUORATE_LEARNER = {"TRUNC": "Truncating log to get in sync"}
_JAVA_LEARNER = {
    "DIFF": "Getting a diff from the leader",
    "TRUNC": "Truncating log to get in sync",
    "SNAP": "Getting a snapshot from leader",
}


class Stir:
    """Sessions that come and go, one every few seconds, so that there is always something to commit soon.

    Java's server may forget to look for a commit until the next one comes (ZOOKEEPER-4537); a client that is alone waits for ever.
    """

    EVERY_S = 3.0

    def __init__(self, context: Context, servers: Ensemble) -> None:
        self._servers = servers
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        context.cleanup(self.stop)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(self.EVERY_S):
            for server in self._servers.servers:
                # One that is not there, or was killed meanwhile: the next one will do.
                with contextlib.suppress(OSError, struct.error), wire.Client(server.client_port, timeout_s=5) as client:
                    client.close()
                    break

    def stop(self) -> None:
        """No more sessions come."""
        self._ended.set()
        self._thread.join(30)


def mixed(context: Context, letters: str, *, stirred: bool = True, **settings: object) -> Ensemble:
    """A running ensemble of these kinds, one letter per id from 1; the last voter leads, behind it are observers."""
    voters = len(letters.split("+")[0])
    kinds = tuple(KINDS[letter] for letter in letters.replace("+", ""))
    observers = tuple(range(voters + 1, len(kinds) + 1))
    servers = context.ensemble(len(kinds), kinds=kinds, observers=observers, **settings)
    # Of empty servers the larger id is elected; the others of its size come when it leads.
    first, *rest = [server for server in servers.servers if server.sid != voters]
    leader = servers.servers[voters - 1]
    leader.start()
    first.start()
    servers.wait_serving()
    equal(leader.mode(), "leader", f"role of {leader}, {leader.kind}")
    for server in rest:
        server.start()
    servers.wait_serving()
    for server in (first, *rest):
        equal(server.mode(), "observer" if server.observer else "follower", f"role of {server}")
    if stirred:
        Stir(context, servers)
    return servers


@dataclass(frozen=True)
class Node:
    """All that a client can know about a znode."""

    data: bytes
    stat: wire.Stat
    acl: bytes
    children: tuple[str, ...]


def dump(server: Server, root: str = "/") -> dict[str, Node]:
    """The whole tree through one server, after a sync."""
    found: dict[str, Node] = {}
    with wire.Client(server.client_port) as client:
        equal(client.call(wire.SYNC, wire.text("/")).err, 0, f"sync at {server}")
        level = [root]
        while level:
            for path in level:
                client.send(wire.GET_DATA, wire.read(path))
                client.send(GET_ACL, wire.text(path))
                client.send(GET_CHILDREN2, wire.read(path))
            below: list[str] = []
            for path in level:
                data, acl, listed = client.receive(), client.receive(), client.receive()
                # What only this very session changes, its ephemerals, does not exist: nothing vanishes meanwhile.
                equal((data.err, acl.err, listed.err), (0, 0, 0), f"errors of reading {path} at {server}")
                equal(listed.stat(), data.stat(), f"the two stats of {path} at {server}")
                names = tuple(sorted(listed.children()))
                found[path] = _comparable(path, Node(data.data(), data.stat(), acl.body[: -wire.STAT_BYTES], names))
                below += [f"{path.rstrip('/')}/{name}" for name in names]
            level = below
        client.close()
    return found


def same_trees(servers: list[Server]) -> dict[str, Node]:
    """Fails unless all servers hold the same tree, of which it returns one."""
    first = dump(servers[0])
    for server in servers[1:]:
        same(dump(server), first, f"{server} ({server.kind}) against {servers[0]} ({servers[0].kind})")
    return first


def same(got: dict[str, Node], want: dict[str, Node], what: str) -> None:
    """Fails with the first difference."""
    equal(sorted(set(got) ^ set(want)), [], f"{what}: paths in only one of the trees")
    for path, node in want.items():
        equal(got[path], node, f"{what}: {path}")


def _comparable(path: str, node: Node) -> Node:
    """Each server writes the text of the configuration by itself, at its own time."""
    return replace(node, stat=replace(node.stat, mtime=0)) if path == "/zookeeper/config" else node


def digests_agree(servers: list[Server], above: int = 0) -> int:
    """No server has seen a digest that is not its own tree's; how many samples were compared, of transactions above that one.

    A Java server takes samples while it makes up for a snapshot that was sent during writes: those are of a tree that is ahead
    of its zxid, and no other server's. Nor does it compare them with the leader's.
    """
    samples: dict[str, str] = {}
    compared = 0
    for server in servers:
        report = four_letter(server.client_port, "mntr") or ""
        counts = [line.split()[1] for line in report.splitlines() if line.startswith("zk_digest_mismatches_count")]
        equal(counts, ["0"], f"zk_digest_mismatches_count of {server} ({server.kind})")
        check("Digests are not matching" not in server.log_text(), f"{server} has printed a digest mismatch")
        for line in (four_letter(server.client_port, "hash") or "").splitlines():
            zxid, _, digest = line.partition(": ")
            if not digest or int(zxid, 16) <= above:
                continue
            if zxid in samples:
                equal(digest, samples[zxid], f"digest at zxid {zxid} of {server} ({server.kind})")
                compared += 1
            else:
                samples[zxid] = digest
    return compared


def newest_zxid(servers: list[Server]) -> int:
    """The newest transaction that a server says it has applied."""
    reports = [four_letter(server.client_port, "srvr") or "" for server in servers]
    lines = [line for report in reports for line in report.splitlines()]
    return max(int(line.split()[1], 16) for line in lines if line.startswith("Zxid: "))


class Printed:
    """What servers print from now on about synchronisation."""

    def __init__(self, servers: Ensemble) -> None:
        self.servers = servers
        self.marks = {server: len(server.log_text()) for server in servers.servers}

    def since(self, server: Server) -> str:
        """The log behind the mark."""
        return server.log_text()[self.marks[server] :]

    def sync_of(self, learner: Server) -> str:
        """How that learner was brought up to date: DIFF, TRUNC or SNAP."""

        def probe() -> list[str]:
            if learner.kind == "java":
                return self.printed(learner, _JAVA_LEARNER)
            leaders = [s for s in self.servers.servers if s.kind == "java" and s.mode() == "leader"]
            return self.printed(learner, _QUORATE_LEARNER) or [k for s in leaders for k in self.of_leader(s, learner)]

        return until(f"a server to print how {learner} was synchronised", probe)[-1]

    def of_leader(self, leader: Server, learner: Server) -> list[str]:
        """What a Java leader has printed about that learner."""
        to, text = f"peer sid: {learner.sid}\n", self.since(leader)
        at = text.rfind("Synchronizing with Learner " + f"sid: {learner.sid} ")
        return [kind for kind, words in _JAVA_LEADER.items() if at >= 0 and self._follows(text[at:], words, to)]

    @staticmethod
    def _follows(text: str, words: str, to: str) -> bool:
        """DIFF names the learner in its line; SNAP does not, and nobody else is being synchronised meanwhile."""
        lines = [line + "\n" for line in text.splitlines() if words in line]
        return any(line.endswith(to) or "snapshot" in words for line in lines)

    def printed(self, server: Server, texts: dict[str, str]) -> list[str]:
        """What that server has printed, oldest first."""
        text = self.since(server)
        return [kind for at, kind in sorted((text.rfind(words), kind) for kind, words in texts.items()) if at >= 0]


def create_many(client: wire.Client, parent: str, count: int, size: int = 20, prefix: str = "n") -> None:
    """Creates children in one pipeline."""
    for start in range(0, count, 200):
        numbers = range(start, min(start + 200, count))
        for number in numbers:
            client.send(wire.CREATE, wire.create(f"{parent}/{prefix}-{number}", b"x" * size))
        for number in numbers:
            equal(client.receive().err, 0, f"creating {parent}/{prefix}-{number}")


def multi(*parts: tuple[int, bytes]) -> bytes:
    """The body of MULTI."""
    body = b"".join(struct.pack(">i?i", op, False, -1) + part for op, part in parts)
    return body + struct.pack(">i?i", -1, True, -1)


def create_container(path: str, data: bytes) -> bytes:
    """The body of CREATE_CONTAINER."""
    return wire.create(path, data, CONTAINER)


def create_ttl(path: str, data: bytes, ttl_ms: int) -> bytes:
    """The body of CREATE_TTL."""
    return wire.create(path, data, WITH_TTL) + struct.pack(">q", ttl_ms)
