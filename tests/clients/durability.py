"""Under strace: what a server says about a write leaves it after an fsync that follows the write of its log record.

A log record begins with the session, the xid and the zxid of its transaction, 20 bytes that stand nowhere else. So the
test needs no knowledge of which file is the log: it is the one that these bytes were written to. strace prints a
thread's system call before the thread runs on; what a server orders is therefore in order in the trace, across threads.
"""

from __future__ import annotations

import bisect
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path

from . import wire
from .ensemble import Server
from .harness import Context, check, equal, test, until

CALLS = "write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync,sync_file_range,msync,io_uring_enter"
WRITERS = 8
WRITES_EACH = 50
IN_FLIGHT = 10
QUORUM_ACK = 3


@dataclass
class Acknowledged:
    """A write that a client got a reply to."""

    session: int
    xid: int
    zxid: int
    # The client's own port, by which the trace names its connection.
    port: int
    what: str

    @property
    def header(self) -> bytes:
        """How the log record begins."""
        return struct.pack(">qiq", self.session, self.xid, self.zxid)


@dataclass
class Stream:
    """All bytes that went to one file or socket, and the trace lines at which each call began and ended."""

    data: bytearray = field(default_factory=bytearray)
    starts: list[int] = field(default_factory=list)
    calls: list[tuple[int, int]] = field(default_factory=list)

    def add(self, data: bytes, began: int, ended: int) -> None:
        self.starts.append(len(self.data))
        self.calls.append((began, ended))
        self.data += data

    def at(self, offset: int) -> tuple[int, int]:
        """The call that wrote the byte at `offset`."""
        return self.calls[bisect.bisect_right(self.starts, offset) - 1]


@dataclass
class Trace:
    """What a server wrote and synced, in order."""

    files: dict[str, Stream] = field(default_factory=dict)
    sockets: dict[tuple[int, int], Stream] = field(default_factory=dict)
    # Of each file, when a sync of it began and ended.
    syncs: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def record(self, header: bytes) -> tuple[str, int]:
        """The file with that log record, and the line at which its write had ended."""
        for path, stream in self.files.items():
            at = stream.data.find(header)
            if at >= 0:
                return path, stream.at(at + len(header) - 1)[1]
        raise AssertionError(f"no write to any file has the log record that begins with {header.hex()}")

    def check_synced(self, header: bytes, sent: int, what: str) -> None:
        """Fails unless a sync lies between the write of the record and line `sent`."""
        path, written = self.record(header)
        ok = any(began >= written and ended <= sent for began, ended in self.syncs.get(path, []))
        check(
            ok, f"{what} left at line {sent} of the trace; the log was written at line {written} and not synced between"
        )

    def sync_count(self) -> int:
        return sum(len(syncs) for syncs in self.syncs.values())


_CALL = re.compile(r"(\d+) +(\w+)\((.*)", re.DOTALL)
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_SOCKET = re.compile(r"\d+<TCP(?:v6)?:\[.*?:(\d+)->.*?:(\d+)\]>")
_FILE = re.compile(r"\d+<((?:\\x[0-9a-f]{2})+)>")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_RESULT = re.compile(r"\) += (-?\d+)[^=]*$")


def parse(text: str) -> Trace:
    """From what strace wrote."""
    trace = Trace()
    unfinished: dict[str, tuple[str, str, int]] = {}
    for number, line in enumerate(text.splitlines()):
        if match := _RESUMED.match(line):
            thread, name, rest = match.groups()
            if thread not in unfinished:
                continue
            _, arguments, began = unfinished.pop(thread)
            take(trace, name, arguments + rest, began, number)
        elif match := _CALL.match(line):
            thread, name, arguments = match.groups()
            if arguments.rstrip().endswith("<unfinished ...>"):
                unfinished[thread] = (name, arguments.rstrip().removesuffix("<unfinished ...>"), number)
            else:
                take(trace, name, arguments, number, number)
    # A call that had not ended when the server was stopped has sent what it was given, perhaps; it has synced nothing.
    return trace


def take(trace: Trace, name: str, arguments: str, began: int, ended: int) -> None:
    result = _RESULT.search(arguments)
    if result is None or int(result[1]) < 0:
        return
    socket, file = _SOCKET.match(arguments), _FILE.match(arguments)
    if name in ("fsync", "fdatasync"):
        if file:
            trace.syncs.setdefault(unescape(file[1]).decode(), []).append((began, ended))
        return
    start = (socket or file).end() if socket or file else 0
    data = b"".join(unescape(part) for part in _STRING.findall(arguments, start))[: int(result[1])]
    if socket:
        trace.sockets.setdefault((int(socket[1]), int(socket[2])), Stream()).add(data, began, ended)
    elif file:
        trace.files.setdefault(unescape(file[1]).decode(), Stream()).add(data, began, ended)


def unescape(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def traced(server: Server) -> Path:
    """Makes the server's next start run under strace; the file that the trace goes to."""
    out = server.directory / "trace.txt"
    # -D: the server stays our child, strace is its grandchild. -xx: every byte in hex.
    server.wrapper = ["strace", "-D", "-f", "-q", "--seccomp-bpf", "-yy", "-xx", "-s", "1000000"]
    server.wrapper += ["-e", f"trace={CALLS}", "-o", str(out), "--"]
    return out


def read_trace(server: Server, out: Path) -> Trace:
    """Stops the server and reads its trace to the end."""
    assert server.process is not None
    ended = re.compile(rf"^{server.process.pid} +\+\+\+ ", re.MULTILINE)
    complaint = server.stop()
    check(complaint is None, str(complaint))
    until("strace to end", lambda: ended.search(out.read_text()))
    return parse(out.read_text())


def one_at_a_time(port: int) -> list[Acknowledged]:
    """A session with one write of each kind at a time."""
    done = []
    with wire.Client(port) as client:

        def write(op: int, body: bytes, what: str) -> None:
            reply = client.call(op, body)
            equal(reply.err, 0, what)
            done.append(Acknowledged(client.session.id, reply.xid, reply.zxid, client.port, what))

        write(wire.CREATE, wire.create("/alone", b"x"), "create")
        for number in range(20):
            write(wire.SET_DATA, wire.set_data("/alone", b"%d" % number), f"set {number}")
        write(wire.CREATE2, wire.create("/alone/e", b"", wire.EPHEMERAL), "create2 of an ephemeral")
        write(wire.CREATE, wire.create("/alone/s-", b"", wire.SEQUENTIAL), "create of a sequential")
        write(wire.DELETE, wire.delete("/alone/e"), "delete")
        write(wire.CLOSE, b"", "closeSession")
    return done


def many_at_once(port: int) -> list[Acknowledged]:
    """Pipelined writes from several sessions, so that one sync covers many of them."""
    done = []
    clients = [wire.Client(port) for _ in range(WRITERS)]
    for index, client in enumerate(clients):
        equal(client.call(wire.CREATE, wire.create(f"/many-{index}", b"")).err, 0, "create")
    for _ in range(WRITES_EACH // IN_FLIGHT):
        for index, client in enumerate(clients):
            for number in range(IN_FLIGHT):
                client.send(wire.SET_DATA, wire.set_data(f"/many-{index}", b"%d" % number))
        for index, client in enumerate(clients):
            for _ in range(IN_FLIGHT):
                reply = client.receive()
                equal(reply.err, 0, "set")
                what = f"set {reply.xid} of client {index}"
                done.append(Acknowledged(client.session.id, reply.xid, reply.zxid, client.port, what))
    for client in clients:
        client.drop()
    return done


def sent_to_client(trace: Trace, server: Server, port: int) -> tuple[int, dict[int, int]]:
    """The line at which the connect response left, and for each xid the one at which its reply did."""
    stream = trace.sockets[(server.client_port, port)]
    lines: dict[int, int] = {}
    hello, at = -1, 0
    while at < len(stream.data):
        (length,) = struct.unpack_from(">i", stream.data, at)
        line = stream.at(at)[0]
        if at == 0:
            hello = line
        else:
            (xid,) = struct.unpack_from(">i", stream.data, at + 4)
            lines.setdefault(xid, line)
        at += 4 + length
    return hello, lines


@test("durability.replies")
def replies(context: Context) -> None:
    """every reply to a write, and every new session, follows an fsync that follows its log write"""
    servers = context.ensemble(1)
    server = servers.servers[0]
    out = traced(server)
    servers.start()
    done = one_at_a_time(server.client_port) + many_at_once(server.client_port)
    trace = read_trace(server, out)
    checked_sessions = set()
    for write in done:
        hello, lines = sent_to_client(trace, server, write.port)
        trace.check_synced(write.header, lines[write.xid], f"the reply to {write.what}")
        if write.session not in checked_sessions:
            checked_sessions.add(write.session)
            # The session is created by a transaction with xid 0, whose zxid no reply tells.
            created = struct.pack(">qi", write.session, 0)
            trace.check_synced(created, hello, f"the connect response of session {write.session:#x}")
    context.say(f"{len(done)} replies and {len(checked_sessions)} sessions checked against {trace.sync_count()} syncs")


@test("durability.acks")
def acks(context: Context) -> None:
    """every ACK of a follower follows an fsync that follows the proposal's log write"""
    servers = context.ensemble(3)
    traces = {server: traced(server) for server in servers.servers}
    servers.start()
    leader = servers.leader()
    follower = servers.follower()
    done = one_at_a_time(follower.client_port) + many_at_once(leader.client_port)
    for server, out in traces.items():
        if server is leader:
            continue
        # The other follower may get the last of them only now.
        with wire.Client(server.client_port) as client:
            client.call(wire.SYNC, wire.text("/"))
            client.close()
        trace = read_trace(server, out)
        sent = [stream for (_, peer), stream in trace.sockets.items() if peer == leader.quorum_port]
        for write in done:
            ack = struct.pack(">iq", QUORUM_ACK, write.zxid)
            lines = [stream.at(stream.data.find(ack))[0] for stream in sent if ack in stream.data]
            equal(len(lines), 1, f"ACKs that {server} sent of {write.zxid:#x}")
            trace.check_synced(write.header, lines[0], f"{server}: the ACK of {write.what}")
        context.say(f"{server}: {len(done)} ACKs checked against {trace.sync_count()} syncs")
