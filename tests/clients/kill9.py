"""Leaders killed with `kill -9` under writing clients: nothing acknowledged is lost, nothing is out of order.

Every client owns a directory znode, sets its data to 1, 2, 3, ... and now and then creates a child named by the number,
a few requests in flight at a time, never repeating one. What is checked:

* order: an acknowledgement carries a zxid above every acknowledgement that anybody had when the request was sent, above
  the client's previous one, and nobody else's;
* the version that a set returns is the number of sets before it;
* after a connection was lost, on another server: all acknowledged writes are there, and of those in flight exactly
  a prefix. From then on it is known which of them happened, and it stays so;
* between rounds, through each of the three servers: exactly the children that must be there, each with the czxid of its
  acknowledgement, and the last value, version and mzxid of the directory.
"""

from __future__ import annotations

import asyncio
import random
import struct
import threading
from collections import deque
from dataclasses import dataclass, field

from . import wire
from .ensemble import Ensemble, Server
from .harness import Context, check, equal, test, until

IN_FLIGHT = 4
# One write in so many is a create.
CREATE_EVERY = 5
# Acknowledgements of each client before a kill, and again between the kill and the victim's return.
ACKS_PER_PHASE = 20
ROOT = "/kill9"


@dataclass
class Attempt:
    """A write that was sent."""

    number: int
    # The highest zxid that anybody had seen acknowledged when it was sent.
    floor: int
    creates: bool


@dataclass
class Known:
    """What one client knows must be in its directory."""

    value: int = 0
    # Number of sets that took effect, which is the version.
    sets: int = 0
    # The zxid of the last set; None when its reply was lost.
    mzxid: int | None = None
    # Number of each child to its czxid, None when the reply was lost.
    children: dict[int, int | None] = field(default_factory=dict)


class Shared:
    """What all clients have seen together."""

    def __init__(self) -> None:
        self.highest = 0
        self.zxids: set[int] = set()


class Connection:
    """An asyncio connection with a session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, server: Server, session: wire.Session) -> Connection:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", server.client_port), 10)
        made = cls(reader, writer)
        writer.write(session.hello())
        try:
            hello = await asyncio.wait_for(made.frame(), 10)
        except BaseException:
            made.close()
            raise
        if not session.accept(hello):
            made.close()
            raise ConnectionError("session expired")
        return made

    async def frame(self) -> bytes:
        (length,) = struct.unpack(">i", await self.reader.readexactly(4))
        return await self.reader.readexactly(length)

    async def reply(self, xid: int) -> wire.Reply:
        """The next reply, which must be to `xid`; pings passed over."""
        while True:
            reply = wire.Reply.parse(await self.frame())
            if reply.xid != wire.PING_XID:
                equal(reply.xid, xid, "xid of the reply that is due")
                return reply

    def close(self) -> None:
        self.writer.transport.abort()


class Writer:
    """One writing client."""

    def __init__(self, index: int, servers: list[Server], shared: Shared, seed: int) -> None:
        self.path = f"{ROOT}/client-{index:02}"
        self.servers = servers
        self.shared = shared
        self.random = random.Random(seed)
        self.session = wire.Session()
        self.known = Known()
        self.number = 0
        self.xid = 0
        self.acknowledged = 0
        self.reconnects = -1
        self.in_doubt = 0
        self.outstanding: deque[tuple[int, Attempt]] = deque()
        self.pause = False
        self.paused = False
        self.stopped = False

    async def run(self) -> None:
        """Writes until stopped, through whichever server takes it."""
        while not self.stopped:
            connection = None
            try:
                connection = await Connection.open(self.random.choice(self.servers), self.session)
                self.reconnects += 1
                await self.settle(connection)
                await self.write(connection)
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                await asyncio.sleep(0.02)
            finally:
                if connection is not None:
                    connection.close()

    async def call(self, connection: Connection, op: int, body: bytes) -> wire.Reply:
        self.xid += 1
        connection.writer.write(wire.request(self.xid, op, body))
        return await connection.reply(self.xid)

    async def settle(self, connection: Connection) -> None:
        """Finds out what became of the writes in flight; checks that all others are there."""
        if self.reconnects == 0:
            reply = await self.call(connection, wire.CREATE, wire.create(self.path, b"0"))
            check(reply.err in (0, wire.NODE_EXISTS), f"creating {self.path}: {reply}")
        equal((await self.call(connection, wire.SYNC, wire.text(self.path))).err, 0, "sync")
        data, stat, children = await look(self, connection, self.path)
        doubtful = [attempt for _, attempt in self.outstanding]
        self.outstanding.clear()
        self.in_doubt += len(doubtful)

        sets = {attempt.number for attempt in doubtful if not attempt.creates}
        where = f"{self.path} after a reconnect"
        check(
            data == self.known.value or data in sets, f"{where}: value {data}, acknowledged {self.known.value}, {sets}"
        )
        happened = {number for number in sets if number <= data}
        equal(stat.version, self.known.sets + len(happened), f"{where}: version")
        if happened:
            self.known.value, self.known.sets, self.known.mzxid = data, stat.version, None

        created = {attempt.number for attempt in doubtful if attempt.creates} & children
        happened |= created
        for number in created:
            self.known.children[number] = None
        equal(children, set(self.known.children), f"{where}: children")

        order = [attempt.number for attempt in doubtful]
        equal(order[: len(happened)], sorted(happened), f"{where}: of {order} in flight, those that happened")

    async def write(self, connection: Connection) -> None:
        while not self.stopped:
            while not self.pause and len(self.outstanding) < IN_FLIGHT:
                self.send(connection)
            if self.outstanding:
                await self.receive(connection)
                continue
            self.paused = True
            connection.writer.write(wire.request(wire.PING_XID, wire.PING))
            equal(wire.Reply.parse(await connection.frame()).xid, wire.PING_XID, "xid of the answer to a ping")
            await asyncio.sleep(0.2)
            self.paused = self.pause

    def send(self, connection: Connection) -> None:
        self.number += 1
        self.xid += 1
        attempt = Attempt(self.number, self.shared.highest, self.number % CREATE_EVERY == 0)
        data = b"%d" % self.number
        if attempt.creates:
            op, body = wire.CREATE, wire.create(f"{self.path}/n-{self.number}", data)
        else:
            op, body = wire.SET_DATA, wire.set_data(self.path, data)
        self.outstanding.append((self.xid, attempt))
        connection.writer.write(wire.request(self.xid, op, body))

    async def receive(self, connection: Connection) -> None:
        reply = await connection.reply(self.outstanding[0][0])
        _, attempt = self.outstanding.popleft()
        what = f"{self.path}, write {attempt.number}"
        equal(reply.err, 0, f"{what}: error")
        check(
            reply.zxid > attempt.floor,
            f"{what}: acknowledged at {reply.zxid:#x}, sent when {attempt.floor:#x} was acknowledged already",
        )
        check(reply.zxid > self.session.last_zxid, f"{what}: {reply.zxid:#x} is not above the previous one")
        check(reply.zxid not in self.shared.zxids, f"{what}: {reply.zxid:#x} was somebody else's")
        self.shared.zxids.add(reply.zxid)
        self.shared.highest = max(self.shared.highest, reply.zxid)
        self.session.last_zxid = reply.zxid
        self.acknowledged += 1
        if attempt.creates:
            self.known.children[attempt.number] = reply.zxid
        else:
            self.known.value, self.known.sets, self.known.mzxid = attempt.number, self.known.sets + 1, reply.zxid
            equal(reply.stat().version, self.known.sets, f"{what}: version")
            equal(reply.stat().mzxid, reply.zxid, f"{what}: mzxid")


async def look(caller: Writer, connection: Connection, path: str) -> tuple[int, wire.Stat, set[int]]:
    """Value, stat and children's numbers of a directory."""
    got = await caller.call(connection, wire.GET_DATA, wire.read(path))
    equal(got.err, 0, f"get of {path}")
    listed = await caller.call(connection, wire.GET_CHILDREN, wire.read(path))
    return int(got.data()), got.stat(), {int(name.removeprefix("n-")) for name in listed.children()}


class Pool:
    """The writing clients, on an event loop of their own."""

    def __init__(self, context: Context, servers: Ensemble, clients: int) -> None:
        shared = Shared()
        self.writers = [Writer(index, servers.servers, shared, index) for index in range(clients)]
        self.failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._all(),), daemon=True)
        context.cleanup(self.stop)
        self._thread.start()

    async def _all(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for writer in self.writers:
                    group.create_task(writer.run())
        except BaseExceptionGroup as failures:
            self.failure = failures.exceptions[0]

    def check(self) -> None:
        """Raises what a writer has raised."""
        if self.failure is not None:
            raise self.failure

    def progress(self, when: str) -> None:
        """Waits until every client has got some more acknowledgements."""
        goal = {writer: writer.acknowledged + ACKS_PER_PHASE for writer in self.writers}

        def reached() -> bool:
            self.check()
            return all(writer.acknowledged >= goal[writer] for writer in self.writers)

        until(f"{ACKS_PER_PHASE} acknowledgements of each client {when}", reached)

    def quiet(self) -> None:
        """Waits until nothing is in flight, and keeps it so."""
        for writer in self.writers:
            writer.pause = True

        def reached() -> bool:
            self.check()
            return all(writer.paused for writer in self.writers)

        until("all clients to have got their replies", reached)

    def resume(self) -> None:
        """Lets them write again."""
        for writer in self.writers:
            writer.pause = writer.paused = False

    def stop(self) -> None:
        """Ends the clients."""
        for writer in self.writers:
            writer.stopped = True
        self._thread.join(10)


def verify(servers: Ensemble, pool: Pool, seen: dict[tuple[str, int], int]) -> int:
    """Compares what each server holds with what the clients know; `seen` keeps the czxids. Number of children."""
    count = 0
    for server in servers.servers:
        with wire.Client(server.client_port) as client:
            equal(client.call(wire.SYNC, wire.text(ROOT)).err, 0, "sync")
            for writer in pool.writers:
                where = f"{writer.path} on {server}"
                known = writer.known
                got = client.call(wire.GET_DATA, wire.read(writer.path))
                equal(int(got.data()), known.value, f"{where}: value")
                stat = got.stat()
                equal(stat.version, known.sets, f"{where}: version")
                if known.mzxid is not None:
                    equal(stat.mzxid, known.mzxid, f"{where}: mzxid")
                listed = client.call(wire.GET_CHILDREN, wire.read(writer.path)).children()
                equal({int(name.removeprefix("n-")) for name in listed}, set(known.children), f"{where}: children")
                equal(stat.num_children, len(known.children), f"{where}: numChildren")
                verify_children(client, writer, where, seen)
            count = sum(len(writer.known.children) for writer in pool.writers)
            client.close()
    return count


def verify_children(client: wire.Client, writer: Writer, where: str, seen: dict[tuple[str, int], int]) -> None:
    """Reads every child, in one pipeline."""
    numbers = sorted(writer.known.children)
    for number in numbers:
        client.send(wire.GET_DATA, wire.read(f"{writer.path}/n-{number}"))
    previous = 0
    for number in numbers:
        reply = client.receive()
        equal((reply.err, reply.data()), (0, b"%d" % number), f"{where}: error and data of child {number}")
        stat = reply.stat()
        wanted = writer.known.children[number]
        if wanted is not None:
            equal(stat.czxid, wanted, f"{where}: czxid of child {number}")
        equal(stat.czxid, seen.setdefault((writer.path, number), stat.czxid), f"{where}: czxid of child {number}")
        check(stat.czxid > previous, f"{where}: child {number} was created before the child with the number below")
        previous = stat.czxid


@test("kill9.leaders", limit_s=900)
def leaders(context: Context) -> None:
    """leaders killed with kill -9 under writing clients: no acknowledged write lost or reordered"""
    servers = context.serving()
    prepare(servers)
    pool = Pool(context, servers, context.options.clients)
    seen: dict[tuple[str, int], int] = {}
    for number in range(1, context.options.rounds + 1):
        pool.progress("before the kill")
        victim = servers.leader()
        victim.kill9()
        if number % 2:
            pool.progress(f"without {victim}")
            victim.start()
        else:
            # It is back before the others have agreed on another leader, or nearly.
            victim.start()
            pool.progress(f"while {victim} starts")
        servers.wait_serving()
        pool.progress(f"with {victim} again")
        pool.quiet()
        children = verify(servers, pool, seen)
        acknowledged = sum(writer.acknowledged for writer in pool.writers)
        doubtful = sum(writer.in_doubt for writer in pool.writers)
        context.say(
            f"round {number}: killed {victim}; so far {acknowledged} writes acknowledged, {doubtful} replies lost,"
            f" {children} children verified on each server"
        )
        pool.resume()
    pool.check()


@test("kill9.everybody", limit_s=600)
def everybody(context: Context) -> None:
    """all three servers killed with kill -9 at once under writing clients, twice"""
    servers = context.serving()
    prepare(servers)
    pool = Pool(context, servers, context.options.clients)
    seen: dict[tuple[str, int], int] = {}
    for number in (1, 2):
        pool.progress("before the kill")
        for server in servers.servers:
            server.kill9()
        for server in servers.servers:
            server.start()
        servers.wait_serving()
        pool.progress("after the kill")
        pool.quiet()
        context.say(f"round {number}: {verify(servers, pool, seen)} children verified on each server")
        pool.resume()
    pool.check()


def prepare(servers: Ensemble) -> None:
    """Creates the root of all directories."""
    with wire.Client(servers.leader().client_port) as client:
        equal(client.call(wire.CREATE, wire.create(ROOT, b"")).err, 0, f"creating {ROOT}")
        client.close()
