"""Curator's recipes, as most Java products use them, while the server under one of two clients is killed."""

from __future__ import annotations

from .gate import ADD_WATCH, SET_WATCHES2, Gate
from .harness import Context, Failure, check, equal, test, until
from .session import Observed
from .subject import CURATOR_JARS, JARS, JAVA, SESSION_MS, Program, built
from .watches import successor


class Recipes(Program):
    """`programs/Recipes.java` with Debian's Curator."""

    name = "Curator"

    def __init__(self, context: Context, hosts: str) -> None:
        jars = ":".join([str(built("Recipes.java").parent), *JARS, *CURATOR_JARS])
        super().__init__(context, [*JAVA, "-cp", jars, "Recipes", hosts, str(SESSION_MS)], "client-curator")

    def says(self, command: str, wanted: str) -> None:
        """Repeats a question until the answer is `wanted`."""
        last = ""

        def probe() -> bool:
            nonlocal last
            last = self.ok(command)
            return last == wanted

        try:
            until(f"`{command}` to say {wanted}", probe)
        except Failure as error:
            raise Failure(f"{error}; it says {last}") from None


def leads(recipes: Recipes) -> bool:
    """Whether its latch has leadership."""
    return recipes.ok("leads /leader") == "true"


def told(recipes: Recipes, start: int, count: int) -> list[str]:
    """Events of its cache from number `start` on, once `count` are there; the cache knows before its listeners do."""

    def events() -> list[str]:
        return [event for event in recipes.ok("events").split(",") if event][start:]

    until(f"{count} events of the cache behind the first {start}", lambda: len(events()) >= count)
    return sorted(events())


def play(context: Context, role: str) -> None:
    servers = context.serving()
    victim = servers.pick(role)
    gate = Gate(context, victim)
    one = Recipes(context, gate.address)
    two = Recipes(context, ",".join(server.address for server in servers.servers if server is not victim))
    for client in (one, two):
        client.state("connected")
    zk = Observed(context, servers.hosts).zk

    # Its parents are made on the way, as containers if so wished (15 and 19 on the wire, seldom 1).
    equal(one.ok("create /app/one v PERSISTENT"), "/app/one", "create")
    equal(two.ok("containers /c/d/e v"), "/c/d/e", "create below containers")
    name = one.ok("protected /app/p-")
    check(name.startswith("/app/_c_") and name.endswith("-p-0000000001"), f"a protected name: {name}")
    one.ok(f"delete {name}")
    equal(two.ok("transaction /app/two v w"), "3", "results of a transaction")
    two.ok("create /app/three v PERSISTENT")

    one.ok("latch /leader a")
    until("a to lead", lambda: leads(one))
    two.ok("latch /leader b")
    two.says("leader /leader", "a")
    equal(leads(two), False, "leadership of b")
    equal(one.ok("lock /lock 60000"), "true", "a free lock")
    equal(two.ok("lock /lock 300"), "false", "a lock that the other holds")
    equal(one.ok("node /node v"), "true", "a persistent node")
    equal([client.ok("add /count 5") for client in (one, two)], ["5", "10"], "a counter")
    one.ok("cache /app")
    one.ok("tree /app")
    first = "{/app=%s,/app/one=v,/app/three=v,/app/two=w}" % zk.get("/app")[0].decode()
    for command in ("cached /app", "treed /app"):
        one.says(command, first)
    check(ADD_WATCH in gate.last.ops, "CuratorCache asks for a persistent recursive watch")
    known = told(one, 0, 4)
    equal(known, ["created:/app", "created:/app/one", "created:/app/three", "created:/app/two"], "first events")

    gate.hold()
    victim.kill9()
    one.state("disconnected")
    other = successor(servers, victim) if role == "leader" else servers.leader()
    equal(leads(one), False, "leadership of a client without a connection")
    for command in (
        "set /app/one new",
        "delete /app/three",
        "create /app/four v PERSISTENT",
        "create /app/one/k v PERSISTENT",
    ):
        two.ok(command)
    equal(two.ok("lock /lock 300"), "false", "a lock whose holder's session lives")
    gate.open(other)
    one.state("connected")

    last = first.replace("one=v", "four=v,/app/one=new,/app/one/k=v").replace(",/app/three=v", "")
    for command in ("cached /app", "treed /app"):
        one.says(command, last)
    wanted = ["changed:/app/one", "created:/app/four", "created:/app/one/k", "deleted:/app/three"]
    equal(told(one, len(known), 4), wanted, "what CuratorCache has told of the time without a connection")
    check(SET_WATCHES2 in gate.last.ops, "the client re-registers its persistent watch")
    two.ok("set /app/four newer")
    one.says("cached /app", last.replace("four=v", "four=newer"))
    equal(told(one, len(known) + 4, 1), ["changed:/app/four"], "a later event")

    until("one of them to lead", lambda: leads(one) != leads(two))
    who = "a" if leads(one) else "b"
    for client in (one, two):
        client.says("leader /leader", who)
    equal(one.ok("holds /lock"), "true", "the lock after the failover")
    one.ok("unlock /lock")
    equal(two.ok("lock /lock 60000"), "true", "the lock that was given back")
    two.ok("unlock /lock")
    equal([client.ok("add /count 5") for client in (one, two)], ["15", "20"], "the counter after the failover")
    equal(two.ok("get /node"), "v", "the persistent node")
    check(zk.retry(zk.exists, "/node").ephemeralOwner != 0, "the persistent node is an ephemeral")
    one.close()
    until("b to lead", lambda: leads(two))
    equal(zk.exists("/node"), None, "the persistent node of a client that has ended")
    two.close()
    equal(zk.get_children("/leader"), [], "latches that are left")


for _role in ("follower", "leader"):

    def _run(context: Context, role: str = _role) -> None:
        play(context, role)

    _run.__doc__ = (
        f"LeaderLatch, InterProcessMutex, PersistentNode, CuratorCache, TreeCache, counter; the {_role} killed"
    )
    test(f"curator.{_role}", ci=_role == "leader")(_run)
