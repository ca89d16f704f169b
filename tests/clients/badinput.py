"""Strangers on every port, wrong directories, wrong ids, wrong configurations: a clear end, or no harm to anybody."""

from __future__ import annotations

import contextlib
import os
import random
import select
import shutil
import socket
import struct
import threading
from pathlib import Path

from . import wire
from .ensemble import Ensemble, Server, four_letter, free_port
from .harness import Context, check, equal, test, until

# What a bystander must get done beside the strangers.
OPERATIONS = 200
# Java's election listener reads one stranger's hello at a time, each for as long as syncLimit allows.
ELECTION_PATIENCE_S = 150.0

RECONFIG = 16
QUORUM_ACK, FOLLOWER_INFO, LEARNER_PING = 3, 11, 5
ELECTION_PROTOCOL = -65536


class Bystander:
    """A client that writes and reads one znode all the time, and takes it amiss if its connection ends."""

    def __init__(self, context: Context, server: Server) -> None:
        self.path = f"/bystander-{server.sid}"
        self.operations = 0
        self.value = 0
        self.failure: BaseException | None = None
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        context.cleanup(self.stop)
        self._thread.start()

    def _run(self) -> None:
        try:
            with wire.Client(self._server.client_port) as client:
                equal(client.call(wire.CREATE, wire.create(self.path, b"0")).err, 0, f"create of {self.path}")
                while not self._stop.is_set():
                    value = self.value + 1
                    set_to = client.call(wire.SET_DATA, wire.set_data(self.path, b"%d" % value, self.value))
                    equal((set_to.err, set_to.stat().version), (0, value), f"set of {self.path}")
                    equal(client.call(wire.GET_DATA, wire.read(self.path)).data(), b"%d" % value, f"get of {self.path}")
                    self.value = value
                    self.operations += 2
                client.close()
        except BaseException as failure:
            self.failure = failure

    def stop(self) -> None:
        """Ends its session."""
        self._stop.set()
        self._thread.join(30)


class Bystanders:
    """One bystander on each server that runs."""

    def __init__(self, context: Context, servers: Ensemble) -> None:
        self._servers = servers
        self._leader = servers.leader() if len(servers.servers) > 1 else None
        self._all = [Bystander(context, server) for server in servers.servers if server.running]
        self.progress("before anything happens")

    def progress(self, when: str) -> None:
        """Waits until each of them has done some more; fails when one was harmed or the leader changed."""
        goal = {one: one.operations + OPERATIONS for one in self._all}

        def reached() -> bool:
            for one in self._all:
                if one.failure is not None:
                    raise AssertionError(f"{one.path} was harmed {when}") from one.failure
            return all(one.operations >= goal[one] for one in self._all)

        until(f"{OPERATIONS} operations of each bystander {when}", reached)
        if self._leader is not None:
            equal(self._leader.mode(), "leader", f"the mode of {self._leader} {when}")

    def finish(self) -> None:
        """Ends them; every server then has what they wrote."""
        for one in self._all:
            one.stop()
            check(one.failure is None, f"{one.path}: {one.failure!r}")
        self.check_values()

    def check_values(self) -> None:
        """Reads what they wrote through every server that runs."""
        for server in self._servers.servers:
            if not server.running:
                continue
            with wire.Client(server.client_port) as client:
                client.call(wire.SYNC, wire.text("/"))
                for one in self._all:
                    got = client.call(wire.GET_DATA, wire.read(one.path))
                    equal((got.err, got.data()), (0, b"%d" % one.value), f"{one.path} through {server}")
                client.close()


class Strangers:
    """Connections that say what they should not, and stay."""

    def __init__(self, context: Context) -> None:
        self._sockets: list[socket.socket] = []
        context.cleanup(self.leave)

    def say(self, port: int, words: bytes, stay: bool = True) -> bool:
        """Connects and sends; whether somebody listened."""
        try:
            link = socket.create_connection(("127.0.0.1", port), timeout=10)
        except OSError:
            return False
        self._sockets.append(link)
        with contextlib.suppress(OSError):  # it may close on us
            link.sendall(words)
        if not stay:
            link.close()
        return True

    def leave(self) -> None:
        """Closes all connections."""
        for link in self._sockets:
            link.close()
        self._sockets.clear()


def client_nonsense(rng: random.Random, java: bool) -> dict[str, bytes]:
    """What strangers say on a client port."""
    hello = wire.Session().hello()
    # One reconfig request that cannot be read ends all writes of a Java 3.8 ensemble.
    operations = [op for op in range(-12, 110) if not (java and op == RECONFIG)]
    greeted = {
        "an unknown operation": wire.request(1, 9999),
        "a negative length": struct.pack(">i", -5),
        "a length of 2 GiB": struct.pack(">i", 0x7FFFFFFF) + rng.randbytes(1000),
        "a frame of zero bytes": struct.pack(">i", 0),
        "a path of 2 GiB": wire.request(1, wire.CREATE, struct.pack(">i", 0x7FFFFFFF) + b"/x"),
        "a path of negative length": wire.request(1, wire.GET_DATA, struct.pack(">i", -7)),
        "an ACL of 2^31 - 1 entries": wire.request(
            1, wire.CREATE, wire.text("/x") + wire.buffer(b"") + struct.pack(">i", 0x7FFFFFFF)
        ),
        "a multi that ends in the middle": wire.request(1, 14, struct.pack(">i?i", 1, False, -1)),
        "random records": b"".join(wire.request(xid, rng.choice(operations), rng.randbytes(40)) for xid in range(50)),
        "every operation without a body": b"".join(wire.request(xid, op) for xid, op in enumerate(operations)),
        "half a request": wire.request(1, wire.GET_DATA, wire.read("/"))[:9],
        "a second hello": hello,
    }
    return {
        "nothing": b"",
        "random bytes": rng.randbytes(65536),
        "zeroes": bytes(65536),
        "a negative length": struct.pack(">i", -1),
        "a length of 2 GiB": struct.pack(">i", 0x7FFFFFFF) + rng.randbytes(5000),
        "a length just above the limit": struct.pack(">i", 0x100000) + rng.randbytes(5000),
        "half a hello": hello[:20],
        "a hello with a password of 2 GiB": hello[:28] + struct.pack(">i", 0x7FFFFFFF) + hello[32:],
        "a hello with a password of negative length": hello[:28] + struct.pack(">i", -9) + hello[32:],
        "a hello with somebody else's session": wire.Session(id=0x1234, password=bytes(16)).hello(),
        "a hello from the future": wire.Session(last_zxid=0x7FFFFFFF00000000).hello(),
        "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "the beginning of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(500),
        "two four-letter words": b"ruokruok",
    } | {f"{what}, after a hello": hello + words for what, words in greeted.items()}


def quorum_packet(kind: int, zxid: int, data: bytes) -> bytes:
    """A packet of the quorum port."""
    return struct.pack(">iq", kind, zxid) + wire.buffer(data) + struct.pack(">i", -1)


def quorum_nonsense(rng: random.Random, sid: int) -> dict[str, bytes]:
    """What strangers say on the leader's quorum port; `sid` is one of its followers."""

    def info(who: int) -> bytes:
        return struct.pack(">qiq", who, 0x10000, 0)

    return {
        "nothing": b"",
        "random bytes": rng.randbytes(65536),
        "zeroes": bytes(65536),
        "a packet with data of 2 GiB": struct.pack(">iqi", FOLLOWER_INFO, 0, 0x7FFFFFFF) + rng.randbytes(5000),
        "a packet with data of negative length": struct.pack(">iqi", FOLLOWER_INFO, 0, -7) + rng.randbytes(500),
        "half a FOLLOWERINFO": quorum_packet(FOLLOWER_INFO, 0, info(99))[:14],
        "FOLLOWERINFO of an unknown server": quorum_packet(FOLLOWER_INFO, 0, info(99)),
        "FOLLOWERINFO of a server that is there": quorum_packet(FOLLOWER_INFO, 0, info(sid)),
        "FOLLOWERINFO that is too short": quorum_packet(FOLLOWER_INFO, 0, b"abc"),
        "ACK instead of FOLLOWERINFO": quorum_packet(QUORUM_ACK, 0x7FFFFFFF, b""),
        "FOLLOWERINFO, then noise": quorum_packet(FOLLOWER_INFO, 0, info(99)) + rng.randbytes(3000),
        "pings": quorum_packet(LEARNER_PING, 0, b"") * 100,
        "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    }


def election_nonsense(rng: random.Random, sid: int) -> dict[str, bytes]:
    """What strangers say on an election port; `sid` is another server's."""

    def hello(who: int) -> bytes:
        return struct.pack(">qq", ELECTION_PROTOCOL, who) + wire.buffer(b"127.0.0.1:9")

    notification = struct.pack(">i", 0) + struct.pack(">qqqqi", 99, 0x7FFFFFFF00000000, 0x7FFFFFFF, 0x7FFFFFFF, 2)
    return {
        "nothing": b"",
        "random bytes": rng.randbytes(4096),
        "half a hello": hello(99)[:12],
        "a hello with an address of 2 GiB": struct.pack(">qqi", ELECTION_PROTOCOL, 99, 0x7FFFFFFF) + rng.randbytes(500),
        "a hello with an address of negative length": struct.pack(">qqi", ELECTION_PROTOCOL, 99, -7),
        "a hello with noise for an address": struct.pack(">qq", ELECTION_PROTOCOL, 99) + wire.buffer(rng.randbytes(60)),
        "another protocol version": struct.pack(">qq", -77, 99) + wire.buffer(b"127.0.0.1:9"),
        "an unknown server's vote for itself": hello(99) + wire.frame(notification),
        "an unknown server's message of 2 GiB": hello(98) + struct.pack(">i", 0x7FFFFFFF) + rng.randbytes(5000),
        "an unknown server's message of negative length": hello(97) + struct.pack(">i", -9),
        "a hello of a server that is there, then noise": hello(sid) + wire.frame(rng.randbytes(60)),
        "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    }


@test("badinput.client_port")
def client_port(context: Context) -> None:
    """strangers on the client ports: random bytes, half handshakes, huge and negative lengths, floods"""
    servers = context.serving()
    bystanders = Bystanders(context, servers)
    strangers = Strangers(context)
    rng = random.Random(1)
    for what, words in client_nonsense(rng, "java" in context.options.kinds).items():
        for server in servers.servers:
            check(strangers.say(server.client_port, words), f"{server} no longer listens, at {what}")
            strangers.say(server.client_port, words, stay=False)
        # In between, so that a failure names what came before it.
        check(all(server.mode() for server in servers.servers), f"a server stopped serving after {what}")
    bystanders.progress("beside strangers on the client ports")
    for server in servers.servers:
        for _ in range(100):
            check(strangers.say(server.client_port, b""), f"{server} no longer listens, in a flood")
    bystanders.progress("beside 300 silent connections")
    strangers.leave()
    bystanders.finish()


@test("badinput.slow_reader")
def slow_reader(context: Context) -> None:
    """a client that asks for 100 MB and reads none of it costs the others nothing"""
    servers = context.serving()
    server = servers.follower()
    with wire.Client(server.client_port) as client:
        equal(client.call(wire.CREATE, wire.create("/big", bytes(500_000))).err, 0, "create")
        client.close()
    bystanders = Bystanders(context, servers)
    lazy = wire.Client(server.client_port)
    context.cleanup(lazy.drop)
    for _ in range(200):
        lazy.send(wire.GET_DATA, wire.read("/big"))
    bystanders.progress("beside a client that does not read")
    for _ in range(200):
        equal(len(lazy.receive().data()), 500_000, "what it reads after all")
    lazy.close()
    bystanders.finish()


@test("badinput.server_ports", limit_s=600)
def server_ports(context: Context) -> None:
    """strangers on the quorum and election ports, who stay while the leader is killed and a new one elected"""
    servers = context.serving()
    leader = servers.leader()
    bystanders = Bystanders(context, servers)
    strangers = Strangers(context)
    rng = random.Random(2)
    listened = 0
    for what, words in quorum_nonsense(rng, servers.follower().sid).items():
        check(strangers.say(leader.quorum_port, words), f"{leader} no longer listens on its quorum port, at {what}")
        for server in servers.servers:
            if server is not leader:
                listened += strangers.say(server.quorum_port, words)
    context.say(f"quorum ports: {listened} connections of strangers taken by followers")
    bystanders.progress("beside strangers on the quorum ports")
    for what, words in election_nonsense(rng, leader.sid).items():
        for server in servers.servers:
            if server is leader and "that is there" in what:
                continue
            check(strangers.say(server.election_port, words), f"{server} no longer listens for elections, at {what}")
    bystanders.progress("beside strangers on the election ports")
    bystanders.finish()

    leader.kill9()
    context.say(f"killed {leader}, the leader; the strangers stay")
    until("a new leader", lambda: any(s.mode() == "leader" for s in servers.servers if s.running), ELECTION_PATIENCE_S)
    bystanders.check_values()
    leader.start()
    until(f"{leader} to come back", leader.serves, ELECTION_PATIENCE_S)
    strangers.leave()
    bystanders.check_values()


@test("badinput.absent_members", limit_s=600)
def absent_members(context: Context) -> None:
    """two members that cannot be reached, one refusing and one swallowing connections: the other three serve"""
    hole = socket.socket()
    hole.bind(("127.0.0.1", free_port()))
    hole.listen(0)
    swallowed = hole.getsockname()[1]
    waiting = [hole]
    context.cleanup(lambda: [link.close() for link in waiting])
    while True:
        link = socket.socket()
        link.setblocking(False)
        link.connect_ex(("127.0.0.1", swallowed))
        waiting.append(link)
        if not select.select([], [link], [], 0.3)[1]:
            break
    absent = (
        f"server.4=127.0.0.1:{free_port()}:{free_port()}",
        f"server.5=127.0.0.1:{free_port()}:{swallowed}",
    )
    servers = context.ensemble(3, extra_members=absent)
    for server in servers.servers:
        server.start()
    for server in servers.servers:
        until(f"{server} to serve", server.serves, ELECTION_PATIENCE_S)
    bystanders = Bystanders(context, servers)
    bystanders.finish()
    # Three of five are the smallest majority: without one of them nobody serves.
    victim = servers.follower()
    victim.kill9()
    others = [server for server in servers.servers if server.running]
    until("the others to stop serving", lambda: not any(server.mode() for server in others), ELECTION_PATIENCE_S)
    victim.start()
    for server in servers.servers:
        until(f"{server} to serve again", server.serves, ELECTION_PATIENCE_S)
    bystanders.check_values()


def without_server_3(context: Context) -> tuple[Ensemble, Server, Bystanders]:
    """Three servers of which the last is down, with bystanders on the other two."""
    servers = context.serving()
    absent = servers.servers[2]
    absent.kill9()
    servers.leader()
    servers.wait_serving()
    return servers, absent, Bystanders(context, servers)


def comes_back(servers: Ensemble, server: Server, original: str, bystanders: Bystanders) -> None:
    """Server 3 with its own id and configuration again."""
    server.cfg.write_text(original)
    (server.data / "myid").write_text(f"{server.sid}\n")
    server.start()
    servers.wait_serving()
    bystanders.finish()


@test("badinput.myid_of_another")
def myid_of_another(context: Context) -> None:
    """a data directory with the myid of another server, whose ports are therefore taken"""
    servers, impostor, bystanders = without_server_3(context)
    (impostor.data / "myid").write_text("2\n")
    impostor.start()
    process = impostor.process
    assert process is not None
    # It may end with an error at once or after waiting for its ports, but it must not serve.
    until("the impostor to end", lambda: process.poll() is not None or impostor.mode())
    equal(impostor.mode(), None, "mode of a server whose ports are another's")
    check(process.returncode != 0, "a server whose ports are another's ended with code 0")
    context.say(f"the impostor ended with code {process.returncode}")
    impostor.process = None
    bystanders.progress("after the impostor's end")
    comes_back(servers, impostor, impostor.cfg.read_text(), bystanders)


@test("badinput.two_with_one_id")
def two_with_one_id(context: Context) -> None:
    """a second server with the leader's id, then one with the follower's, at addresses of their own"""
    servers, impostor, bystanders = without_server_3(context)
    original = impostor.cfg.read_text()
    leader, follower = servers.leader(), servers.follower()
    for victim, other in ((leader, follower), (follower, leader)):
        own = f"server.{victim.sid}=127.0.0.1:{free_port()}:{free_port()}"
        lines = [line for line in original.splitlines() if not line.startswith("server.")]
        impostor.cfg.write_text("\n".join([*lines, own, other.member, impostor.member]) + "\n")
        (impostor.data / "myid").write_text(f"{victim.sid}\n")
        impostor.start()
        process = impostor.process
        assert process is not None
        until(
            "the impostor to end or to answer",
            lambda: not impostor.running or four_letter(impostor.client_port, "ruok") == "imok",
        )
        for _ in range(10):
            bystanders.progress(f"beside a second server {victim.sid}")
        context.say(f"a second server {victim.sid}: exit code {process.poll()}, mode {impostor.mode()}")
        if process.poll() is None:
            impostor.kill9()
        impostor.process = None
        bystanders.progress(f"after the end of the second server {victim.sid}")
        # What it has logged under another's id is not server 3's history.
        shutil.rmtree(impostor.data)
        impostor.data.mkdir()
    comes_back(servers, impostor, original, bystanders)


def ends(context: Context, server: Server, what: str, *words: str) -> int:
    """Starts a server that must end by itself, with an error that has all the words in it; its exit code."""
    server.log.unlink(missing_ok=True)
    server.start()
    code = server.wait_exit()
    said = server.log_text()
    check(code != 0, f"{what}: ended with code 0")
    check("panicked at" not in said, f"{what}: panicked:\n{said}")
    if server.kind == "quorate":
        check("RUST_BACKTRACE" not in said, f"{what}: a backtrace is no message:\n{said}")
        for word in words:
            check(word in said, f"{what}: its message does not say `{word}`:\n{said}")
    context.say(f"{what}: code {code}")
    return code


@test("badinput.directories")
def directories(context: Context) -> None:
    """a data directory that cannot be one: a clear error that names it, exit code 3"""
    servers = context.ensemble(1)
    server = servers.servers[0]
    original = server.cfg.read_text()

    def with_data(path: Path) -> None:
        lines = [f"dataDir={path}" if line.startswith("dataDir=") else line for line in original.splitlines()]
        server.cfg.write_text("\n".join(lines) + "\n")

    file = server.directory / "file"
    file.write_text("not a directory")
    with_data(file / "data")
    equal(ends(context, server, "a directory below a file", str(file / "data")), 3, "exit code")
    with_data(file)
    code = ends(context, server, "a file instead of a directory", str(file))
    if server.kind == "quorate":
        equal(code, 3, "exit code")
    taken = server.directory / "taken"
    taken.mkdir()
    (taken / "version-2").write_text("not a directory")
    with_data(taken)
    code = ends(context, server, "a file in the place of version-2", str(taken / "version-2"))
    if server.kind == "quorate":
        equal(code, 3, "exit code")
    if os.geteuid() != 0:  # permissions do not bind root
        closed = server.directory / "closed"
        closed.mkdir(mode=0o555)
        with_data(closed)
        equal(ends(context, server, "a directory without write permission", str(closed)), 3, "exit code")
    server.cfg.write_text(original)
    server.log.unlink(missing_ok=True)
    servers.start()


@test("badinput.configuration")
def configuration(context: Context) -> None:
    """wrong values in zoo.cfg: exit code 2 and a message that names line and key"""
    servers = context.ensemble(3)
    server = servers.servers[0]
    good = server.cfg.read_text().splitlines()

    def refused(what: str, lines: list[str], *words: str) -> None:
        server.cfg.write_text("\n".join(lines) + "\n")
        equal(ends(context, server, what, *words), 2, f"exit code of {what}")

    def replaced(key: str, value: str) -> tuple[list[str], int]:
        at = next(i for i, line in enumerate(good) if line.split("=")[0] == key)
        return [*good[:at], f"{key}={value}", *good[at + 1 :]], at + 1

    wrong = {
        "tickTime": "fast",
        "initLimit": "ten",
        "syncLimit": "1.5",
        "clientPort": "port",
        "minSessionTimeout": "1s",
        "maxClientCnxns": "many",
        "server.2": "127.0.0.1",
    }
    for key, value in wrong.items():
        lines, number = replaced(key, value)
        refused(f"{key}={value}", lines, key, f"zoo.cfg:{number}:")
    for key, value in {"electionAlg": "1", "reconfigEnabled": "perhaps", "server.x": "127.0.0.1:1:2"}.items():
        refused(f"{key}={value}", [*good, f"{key}={value}"], key, f"zoo.cfg:{len(good) + 1}:")
    for key in ("dataDir", "initLimit", "syncLimit"):
        refused(f"no {key}", [line for line in good if line.split("=")[0] != key], key)
    server.cfg.write_text("\n".join(good) + "\n")
    (server.data / "myid").write_text("first\n")
    equal(ends(context, server, "a myid that is no number", "myid"), 2, "exit code")
    (server.data / "myid").unlink()
    equal(ends(context, server, "no myid", "myid"), 2, "exit code")
    (server.data / "myid").write_text("9\n")
    code = ends(context, server, "a myid without a server line", "myid", "9")
    if server.kind == "quorate":
        equal(code, 2, "exit code of a myid without a server line")
    server.cfg.unlink()
    equal(ends(context, server, "no zoo.cfg", "zoo.cfg"), 2, "exit code")

    shutil.rmtree(server.data)
    server.data.mkdir()
    server.configure(servers.settings, servers.members)
    server.log.unlink(missing_ok=True)
    servers.start()
