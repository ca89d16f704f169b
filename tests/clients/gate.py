"""A door between one client and the servers: the test says which stands behind it; all frames are kept."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from . import wire
from .ensemble import Server
from .harness import Context, until

AUTH, SET_WATCHES, SET_WATCHES2, ADD_WATCH, CHECK_WATCHES, REMOVE_WATCHES = 100, 101, 105, 106, 17, 18
EVENT_XID, AUTH_XID, SET_WATCHES_XID = -1, -4, -8
# The types of a watch event, as the clients of these tests print them.
EVENTS = {1: "created", 2: "deleted", 3: "changed", 4: "children"}


@dataclass(frozen=True)
class Request:
    """A request that went through."""

    xid: int
    op: int
    body: bytes


@dataclass(frozen=True)
class Event:
    """A watch event that went through."""

    kind: str
    path: str
    state: int
    zxid: int

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"


@dataclass
class Passage:
    """One connection: its frames in both directions, the connect request and response apart."""

    client: socket.socket
    server: socket.socket | None = None
    hello: bytes = b""
    welcome: bytes = b""
    requests: list[Request] = field(default_factory=list)
    # Replies and events in the order in which the server sent them.
    answers: list[wire.Reply | Event] = field(default_factory=list)
    closed: bool = False

    @property
    def events(self) -> list[Event]:
        """The watch events."""
        return [answer for answer in self.answers if isinstance(answer, Event)]

    @property
    def ops(self) -> list[int]:
        """The kinds of the requests."""
        return [request.op for request in self.requests]

    def end(self) -> None:
        """Closes both halves."""
        for half in (self.client, self.server):
            if half is not None:
                with contextlib.suppress(OSError):
                    half.shutdown(socket.SHUT_RDWR)
                half.close()
        self.closed = True


class Gate:
    """Listens where one client connects. Open, it joins the client to a server; held, a new connection waits."""

    def __init__(self, context: Context, server: Server | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._change = threading.Condition()
        self._behind: int | None = server.client_port if server else None
        self.passages: list[Passage] = []
        context.cleanup(self.close)
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        """New connections wait; those that there are go on."""
        with self._change:
            self._behind = None

    def open(self, server: Server) -> None:
        """New connections, and those that wait, reach `server`."""
        with self._change:
            self._behind = server.client_port
            self._change.notify_all()

    def cut(self) -> None:
        """Ends the connections that there are."""
        for passage in list(self.passages):
            passage.end()

    def close(self) -> None:
        """Ends everything."""
        self._listener.close()
        with self._change:
            self._behind = 0
            self._change.notify_all()
        self.cut()

    @property
    def last(self) -> Passage:
        """The latest connection that was answered."""
        return until("a connection through the gate", lambda: next((p for p in self.passages[::-1] if p.welcome), None))

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                passage = Passage(client)
                self.passages.append(passage)
                threading.Thread(target=self._carry, args=(passage,), daemon=True).start()

    def _carry(self, passage: Passage) -> None:
        with self._change:
            self._change.wait_for(lambda: self._behind is not None)
            port = self._behind
        try:
            passage.server = socket.create_connection(("127.0.0.1", port))
        except OSError:
            passage.end()
            return
        for half in (passage.client, passage.server):
            half.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(
            target=self._pump, args=(passage, passage.server, passage.client, read_answer), daemon=True
        )
        back.start()
        self._pump(passage, passage.client, passage.server, read_request)

    @staticmethod
    def _pump(
        passage: Passage, source: socket.socket, sink: socket.socket, note: Callable[[Passage, bytes], None]
    ) -> None:
        unread = b""
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                unread += part
                while (
                    len(unread) >= 4 and len(unread) >= 4 + (size := struct.unpack_from(">i", unread)[0]) and size >= 0
                ):
                    # Before it is handed on: who has the answer finds it here.
                    note(passage, unread[4 : 4 + size])
                    unread = unread[4 + size :]
                sink.sendall(part)
        passage.end()


def read_request(passage: Passage, frame: bytes) -> None:
    """Notes a frame of the client."""
    if not passage.hello:
        passage.hello = frame
    elif len(frame) >= 8:
        passage.requests.append(Request(*struct.unpack_from(">ii", frame), frame[8:]))


def read_answer(passage: Passage, frame: bytes) -> None:
    """Notes a frame of the server."""
    if not passage.welcome:
        passage.welcome = frame
        return
    reply = wire.Reply.parse(frame)
    if reply.xid != EVENT_XID:
        passage.answers.append(reply)
        return
    kind, state, length = struct.unpack_from(">iii", reply.body)
    passage.answers.append(Event(EVENTS.get(kind, str(kind)), reply.body[12 : 12 + length].decode(), state, reply.zxid))


def watch_lists(request: Request) -> list[list[str]]:
    """The lists of a setWatches: data, exist, child, and of setWatches2 persistent and recursive."""
    lists, at = [], 8
    for _ in range(5 if request.op == SET_WATCHES2 else 3):
        (count,) = struct.unpack_from(">i", request.body, at)
        at += 4
        paths = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", request.body, at)
            paths.append(request.body[at + 4 : at + 4 + length].decode())
            at += 4 + length
        lists.append(paths)
    return lists
