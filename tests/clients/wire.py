"""A lean client of the client port: bytes and records, one blocking connection. No retries, nothing hidden."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field

CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, GET_CHILDREN, SYNC, PING, CREATE2, CLOSE = 1, 2, 3, 4, 5, 8, 9, 11, 15, -11
PING_XID = -2
EPHEMERAL, SEQUENTIAL = 1, 2
NO_NODE, NODE_EXISTS, BAD_VERSION = -101, -110, -103

_OPEN_ACL = struct.pack(">ii", 1, 31) + struct.pack(">i5si6s", 5, b"world", 6, b"anyone")
_STAT = struct.Struct(">qqqqiiiqiiq")
STAT_BYTES = _STAT.size


def text(value: str) -> bytes:
    """A string record."""
    raw = value.encode()
    return struct.pack(">i", len(raw)) + raw


def buffer(value: bytes) -> bytes:
    """A buffer record."""
    return struct.pack(">i", len(value)) + value


def frame(body: bytes) -> bytes:
    """The length and the body."""
    return struct.pack(">i", len(body)) + body


def request(xid: int, op: int, body: bytes = b"") -> bytes:
    """A framed request."""
    return frame(struct.pack(">ii", xid, op) + body)


def create(path: str, data: bytes, flags: int = 0) -> bytes:
    """The body of CREATE and CREATE2."""
    return text(path) + buffer(data) + _OPEN_ACL + struct.pack(">i", flags)


def set_data(path: str, data: bytes, version: int = -1) -> bytes:
    """The body of SET_DATA."""
    return text(path) + buffer(data) + struct.pack(">i", version)


def delete(path: str, version: int = -1) -> bytes:
    """The body of DELETE."""
    return text(path) + struct.pack(">i", version)


def read(path: str, watch: bool = False) -> bytes:
    """The body of EXISTS, GET_DATA and GET_CHILDREN."""
    return text(path) + struct.pack(">?", watch)


@dataclass(frozen=True)
class Stat:
    """A znode's stat."""

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: int
    data_length: int
    num_children: int
    pzxid: int

    @classmethod
    def parse(cls, raw: bytes) -> Stat:
        """The record's last 68 bytes are all there is."""
        return cls(*_STAT.unpack(raw))


@dataclass(frozen=True)
class Reply:
    """A reply's header and what follows it."""

    xid: int
    zxid: int
    err: int
    body: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Reply:
        """From a frame without its length."""
        return cls(*struct.unpack_from(">iqi", raw), raw[16:])

    def stat(self) -> Stat:
        """The stat, which stands at the end of every reply that has one."""
        return Stat.parse(self.body[-_STAT.size :])

    def data(self) -> bytes:
        """The buffer at the beginning."""
        (length,) = struct.unpack_from(">i", self.body)
        return self.body[4 : 4 + length] if length > 0 else b""

    def children(self) -> list[str]:
        """The list of strings at the beginning."""
        (count,) = struct.unpack_from(">i", self.body)
        names, at = [], 4
        for _ in range(count):
            (length,) = struct.unpack_from(">i", self.body, at)
            names.append(self.body[at + 4 : at + 4 + length].decode())
            at += 4 + length
        return names


@dataclass
class Session:
    """What a client must know to take up its session elsewhere."""

    timeout_ms: int = 30_000
    id: int = 0
    password: bytes = field(default=bytes(16), repr=False)
    last_zxid: int = 0

    def hello(self) -> bytes:
        """The framed connect request."""
        head = struct.pack(">iqiq", 0, self.last_zxid, self.timeout_ms, self.id)
        return frame(head + buffer(self.password) + b"\0")

    def accept(self, raw: bytes) -> bool:
        """Takes the connect response; False when the session has expired."""
        _, timeout_ms, session, length = struct.unpack_from(">iiqi", raw)
        if timeout_ms <= 0:
            self.id, self.password = 0, bytes(16)
            return False
        self.timeout_ms, self.id, self.password = timeout_ms, session, raw[20 : 20 + length]
        return True


class Client:
    """A blocking connection. Any failure of it raises `OSError`."""

    def __init__(self, port: int, session: Session | None = None, timeout_s: float = 60.0) -> None:
        self.session = session or Session()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = self.socket.getsockname()[1]
        self._unread = b""
        self._xid = 0
        self.socket.sendall(self.session.hello())
        if not self.session.accept(self.receive_frame()):
            raise ConnectionError("session expired")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def receive_frame(self) -> bytes:
        """The next frame, without its length."""
        (length,) = struct.unpack(">i", self._receive(4))
        return self._receive(length)

    def _receive(self, count: int) -> bytes:
        while len(self._unread) < count:
            part = self.socket.recv(max(65536, count - len(self._unread)))
            if not part:
                raise ConnectionError("the server closed the connection")
            self._unread += part
        taken, self._unread = self._unread[:count], self._unread[count:]
        return taken

    def send(self, op: int, body: bytes = b"") -> int:
        """Sends a request without waiting; its xid."""
        self._xid += 1
        self.socket.sendall(request(self._xid, op, body))
        return self._xid

    def receive(self) -> Reply:
        """The next reply, watch events and pings passed over."""
        while True:
            reply = Reply.parse(self.receive_frame())
            if reply.xid >= 0:
                if reply.zxid > 0:
                    self.session.last_zxid = reply.zxid
                return reply

    def call(self, op: int, body: bytes = b"") -> Reply:
        """One request and its reply."""
        xid = self.send(op, body)
        reply = self.receive()
        if reply.xid != xid:
            raise ConnectionError(f"reply to {reply.xid} where the one to {xid} is due")
        return reply

    def ping(self) -> None:
        """Keeps the session; the answer is passed over by `receive`."""
        self.socket.sendall(request(PING_XID, PING))

    def close(self) -> None:
        """Ends the session, then the connection."""
        self.call(CLOSE)
        self.drop()

    def drop(self) -> None:
        """Ends the connection only."""
        self.socket.close()
