"""kazoo's recipes against three servers of which one, a follower or the leader, is killed and comes back.

Each recipe is a `Play`: what it does while all is well, while the victim is down and after its return. An operation
whose reply was lost with a connection may or may not have happened; a play counts these and allows for no more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from kazoo.exceptions import ConnectionLoss
from kazoo.recipe.watchers import ChildrenWatch, DataWatch
from kazoo.retry import ForceRetryError, KazooRetry

from .harness import Context, check, equal, test, until
from .session import Observed

# How much every worker must get done in each of the three phases.
STEPS = 5


class Workers:
    """Threads that each repeat one step until they are told to stop; what they count is compared by phase."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()
        self.done: dict[str, int] = {}
        self.errors: list[BaseException] = []
        context.cleanup(self._stop.set)

    def start(self, name: str, step: Callable[[], object]) -> None:
        """A worker that repeats `step`; one that returns False did not get anything done."""

        def loop() -> None:
            try:
                while not self._stop.is_set():
                    if step() is not False:
                        self.done[name] += 1
            except BaseException as error:
                self.errors.append(error)

        self.done[name] = 0
        self._threads.append(threading.Thread(target=loop, name=name, daemon=True))
        self._threads[-1].start()

    def check(self) -> None:
        """Raises what a worker has raised."""
        if self.errors:
            raise self.errors[0]

    def stop(self) -> None:
        """Tells every worker that its step is its last."""
        self._stop.set()

    def progress(self, phase: str) -> None:
        """Waits until every worker has done `STEPS` more steps."""
        before = dict(self.done)

        def advanced() -> bool:
            self.check()
            return all(self.done[name] >= before[name] + STEPS for name in before)

        until(f"{STEPS} steps of each worker {phase}: {before} then", advanced)

    def finish(self) -> None:
        """Lets every worker end its step."""
        self.stop()
        for thread in self._threads:
            until(f"{thread.name} to end its step", lambda thread=thread: not thread.is_alive())
        self.check()


class Play:
    """Three servers, one victim, some clients."""

    def __init__(self, context: Context, role: str, clients: int = 3, **options: object) -> None:
        self.context = context
        self.role = role
        self.servers = context.serving()
        self.victim = self.servers.pick(role)
        # The first client starts on the victim, the others somewhere.
        hosts = [f"{self.victim.address},{self.servers.hosts}", *[self.servers.hosts] * (clients - 1)]
        self.clients = [Observed(context, h, randomize_hosts=index > 0, **options) for index, h in enumerate(hosts)]
        self.zks = [client.zk for client in self.clients]

    def kill(self) -> None:
        """Ends the victim; returns when the others serve and every client is connected again."""
        self.victim.kill9()
        self.context.say(f"killed {self.victim}, the {self.role}")
        self.servers.leader()
        self.servers.wait_serving()
        for index, client in enumerate(self.clients):
            until(f"client {index} to be connected again", lambda client=client: reaches_leader(client))

    def bring_back(self) -> None:
        """Starts the victim again; returns when it serves."""
        self.victim.start()
        self.servers.wait_serving()
        self.context.say(f"{self.victim} is back as {self.victim.mode()}")

    def check_sessions(self) -> None:
        """No client may have lost its session: outages are shorter than its timeout."""
        for index, client in enumerate(self.clients):
            check(not client.lost, f"client {index} lost its session: {client.states}")

    def through_all(self, workers: Workers) -> None:
        """The three phases, with progress of every worker in each."""
        workers.progress("with all servers up")
        self.kill()
        workers.progress(f"without the {self.role}")
        self.bring_back()
        workers.progress("after its return")
        workers.finish()
        self.check_sessions()


def reaches_leader(client: Observed) -> bool:
    """Whether a sync gets through."""
    try:
        client.zk.sync("/")
    except ConnectionLoss:
        return False
    return True


def recipe(name: str) -> Callable[[Callable[[Context, str], None]], None]:
    """Registers a play once per role of the victim."""

    def register(body: Callable[[Context, str], None]) -> None:
        for role in ("follower", "leader"):

            def run(context: Context, role: str = role) -> None:
                body(context, role)

            run.__doc__ = f"{(body.__doc__ or '').strip()}, the {role} killed"
            test(f"recipes.{name}.{role}")(run)

    return register


def once() -> KazooRetry:
    """Repeats what the recipe itself asks to repeat, but nothing whose reply was lost."""
    retry = KazooRetry(max_tries=-1, delay=0.01, max_delay=0.1)
    retry.retry_exceptions = (ForceRetryError,)
    return retry


@recipe("lock")
def lock(context: Context, role: str) -> None:
    """Lock: never two holders, and every contender gets its turns"""
    play = Play(context, role, clients=4)
    inside: list[int] = []
    workers = Workers(context)

    def contend(index: int) -> None:
        zk = play.zks[index]
        with zk.Lock("/lock", f"contender {index}"):
            inside.append(index)
            zk.retry(zk.exists, "/lock")
            equal(inside, [index], "holders of the lock")
            inside.remove(index)

    for index in range(len(play.zks)):
        workers.start(f"contender {index}", lambda index=index: contend(index))
    play.through_all(workers)
    equal(play.zks[0].get_children("/lock"), [], "lock nodes left behind")


@recipe("election")
def election(context: Context, role: str) -> None:
    """Election: one leader at a time, its contenders listed, the next one takes over"""
    play = Play(context, role)
    elections = [zk.Election("/election", f"candidate {index}") for index, zk in enumerate(play.zks)]
    step_down = threading.Event()
    reign: list[int] = []
    leading: list[int] = []

    def lead(index: int) -> None:
        leading.append(index)
        equal(leading, [index], "leaders")
        reign.append(index)
        until("being told to step down", step_down.is_set)
        step_down.clear()
        leading.remove(index)

    workers = Workers(context)
    for index in range(len(elections)):
        workers.start(f"candidate {index}", lambda index=index: elections[index].run(lead, index))

    def change(times: int = 3) -> None:
        for _ in range(times):
            terms = len(reign)
            until("a leader", lambda: leading)
            step_down.set()
            until("the next leader", lambda: workers.check() or len(reign) > terms)

    def listed() -> bool:
        names = play.zks[0].retry(elections[0].contenders)
        return sorted(names) == [f"candidate {index}" for index in range(len(elections))]

    change()
    until("all contenders to be listed", listed)
    play.kill()
    change()
    until("all contenders to be listed without the victim", listed)
    play.bring_back()
    change()
    until("all contenders to be listed after its return", listed)
    equal(set(reign), {0, 1, 2}, "who has led")
    play.check_sessions()
    for waiting in elections:
        waiting.cancel()
    workers.stop()
    step_down.set()


@recipe("barrier")
def barrier(context: Context, role: str) -> None:
    """Barrier: holds everybody back until it is removed"""
    play = Play(context, role)
    passed: list[int] = []
    workers = Workers(context)
    play.zks[1].Barrier("/barrier").create()
    # Each through its own server: a server that has not applied it yet would let its client pass.
    for zk in play.zks:
        zk.sync("/barrier")

    def wait(index: int) -> bool:
        # kazoo drops one-shot watches with the connection, its documentation says so: hence the timeout and the loop.
        if index in passed:
            time.sleep(0.05)
            return False
        try:
            if play.zks[index].Barrier("/barrier").wait(timeout=0.5):
                passed.append(index)
        except ConnectionLoss:
            pass
        return True

    def all_pass(phase: str) -> None:
        equal(passed, [], f"clients past the barrier {phase}")
        check(play.zks[1].Barrier("/barrier").remove(), f"the barrier was there {phase}")
        until(f"all clients to pass {phase}", lambda: workers.check() or sorted(passed) == [0, 1, 2])
        play.zks[1].Barrier("/barrier").create()
        for zk in play.zks:
            zk.sync("/barrier")
        passed.clear()

    for index in range(len(play.zks)):
        workers.start(f"waiter {index}", lambda index=index: wait(index))
    until("everybody to wait", lambda: workers.check() or all(workers.done.values()))
    play.kill()
    all_pass(f"without the {role}")
    play.bring_back()
    all_pass("after its return")
    workers.finish()
    play.check_sessions()


@recipe("double_barrier")
def double_barrier(context: Context, role: str) -> None:
    """DoubleBarrier: all enter together and leave together"""
    play = Play(context, role)
    # kazoo waits for the others on a one-shot watch, which it drops with the connection. So nobody waits in it while
    # connections end: members are inside, or outside.
    rounds = 0

    def together(what: str, step: Callable[[int], None]) -> None:
        began: list[int] = []
        ended: list[int] = []
        errors: list[BaseException] = []

        def one(index: int) -> None:
            try:
                began.append(index)
                step(index)
                check(len(began) == len(play.zks), f"client {index} did {what} before all had begun: {began}")
                ended.append(index)
            except BaseException as error:
                errors.append(error)

        def finished() -> bool:
            if errors:
                raise errors[0]
            return len(ended) == len(play.zks)

        for index in range(len(play.zks)):
            threading.Thread(target=one, args=(index,), daemon=True).start()
            # The last one must find the others inside, not beside it.
            if index < len(play.zks) - 1:
                until("the client to begin", lambda index=index: index in began)
        until(f"all clients to {what}", finished)

    def enter() -> None:
        nonlocal rounds
        rounds += 1
        barriers[:] = [
            zk.DoubleBarrier(f"/double-{rounds}", len(play.zks), f"member {index}") for index, zk in enumerate(play.zks)
        ]
        together("enter", lambda index: barriers[index].enter())
        check(all(barrier.participating for barrier in barriers), "every member takes part")
        equal(len(play.zks[0].get_children(f"/double-{rounds}")), len(play.zks) + 1, "members and the ready node")

    def leave() -> None:
        together("leave", lambda index: barriers[index].leave())
        play.zks[0].sync(f"/double-{rounds}")
        equal(play.zks[0].get_children(f"/double-{rounds}"), [], "members left behind")

    barriers: list = []
    enter()
    play.kill()
    leave()
    enter()
    play.bring_back()
    leave()
    enter()
    leave()
    play.check_sessions()


@recipe("queue")
def queue(context: Context, role: str) -> None:
    """Queue: every item comes out once, each producer's in its order"""
    play = Play(context, role, clients=4, command_retry=once())
    put: dict[int, list[int]] = {0: [], 1: []}
    doubtful: dict[int, set[int]] = {0: set(), 1: set()}
    got: list[tuple[int, int]] = []
    by_consumer: dict[int, list[tuple[int, int]]] = {2: [], 3: []}
    lost_replies = [0]
    numbers = {0: 0, 1: 0}
    workers = Workers(context)
    queues = [zk.Queue("/queue") for zk in play.zks]
    len(queues[0])  # makes /queue

    def produce(index: int) -> bool:
        if sum(numbers.values()) - len(got) > 50:  # the consumers cannot take more
            time.sleep(0.01)
            return False
        numbers[index] += 1
        number = numbers[index]
        try:
            queues[index].put(b"%d %d" % (index, number))
        except ConnectionLoss:
            doubtful[index].add(number)
            time.sleep(0.05)
            return False
        put[index].append(number)
        return True

    def consume(index: int) -> bool:
        try:
            item = queues[index].get()
        except ConnectionLoss:
            lost_replies[0] += 1
            time.sleep(0.05)
            return False
        if item is None:
            time.sleep(0.005)
            return False
        producer, number = (int(word) for word in item.split())
        by_consumer[index].append((producer, number))
        got.append((producer, number))
        return True

    for index, step in ((0, produce), (1, produce), (2, consume), (3, consume)):
        workers.start(f"client {index}", lambda index=index, step=step: step(index))
    play.through_all(workers)
    while True:
        item = queues[2].get()
        if item is None:
            break
        producer, number = (int(word) for word in item.split())
        by_consumer[2].append((producer, number))
        got.append((producer, number))

    equal(len(got), len(set(got)), "items that came out, and different ones among them")
    acknowledged = {(index, number) for index in put for number in put[index]}
    allowed = acknowledged | {(index, number) for index in doubtful for number in doubtful[index]}
    check(set(got) <= allowed, f"came out without having been put: {set(got) - allowed}")
    missing = acknowledged - set(got)
    check(len(missing) <= lost_replies[0], f"never came out: {missing}; replies lost: {lost_replies[0]}")
    for index, items in by_consumer.items():
        for producer in put:
            seen = [number for who, number in items if who == producer]
            equal(seen, sorted(seen), f"the order in which client {index} got the items of producer {producer}")
    context.say(f"{len(acknowledged)} put, {len(got)} got, {lost_replies[0]} replies to consumers lost")


@recipe("counter")
def counter(context: Context, role: str) -> None:
    """Counter: ends at the number of increments"""
    play = Play(context, role, command_retry=once())
    done = [0] * len(play.zks)
    doubtful = [0] * len(play.zks)
    counters = [zk.Counter("/counter") for zk in play.zks]
    counters[0]._ensure_node()
    workers = Workers(context)

    def increment(index: int) -> bool:
        try:
            counters[index] += 1
        except ConnectionLoss:
            doubtful[index] += 1
            time.sleep(0.05)
            return False
        done[index] += 1
        return True

    for index in range(len(play.zks)):
        workers.start(f"client {index}", lambda index=index: increment(index))
    play.through_all(workers)
    for zk in play.zks:
        zk.sync("/counter")
        value = zk.Counter("/counter").value
        check(
            sum(done) <= value <= sum(done) + sum(doubtful),
            f"the counter is at {value} after {sum(done)} increments and {sum(doubtful)} whose reply was lost",
        )
    context.say(f"{sum(done)} increments, {sum(doubtful)} replies lost, the counter is at {value}")


@recipe("party")
def party(context: Context, role: str) -> None:
    """Party: its members are those whose sessions live"""
    play = Play(context, role)
    watcher = Observed(context, play.servers.hosts)
    seen = watcher.zk.Party("/party", "watcher")
    parties = [zk.Party("/party", f"guest {index}") for index, zk in enumerate(play.zks)]

    def guests(*expected: int) -> None:
        watcher.zk.retry(watcher.zk.sync, "/party")
        equal(sorted(seen), [f"guest {index}" for index in expected], "members")
        equal(len(seen), len(expected), "number of members")

    for guest in parties:
        guest.join()
    guests(0, 1, 2)
    play.kill()
    guests(0, 1, 2)
    parties[1].leave()
    guests(0, 2)
    play.bring_back()
    guests(0, 2)
    parties[1].join()
    guests(0, 1, 2)
    play.check_sessions()
    play.clients[2].close()
    guests(0, 1)


@recipe("data_watch")
def data_watch(context: Context, role: str) -> None:
    """DataWatch: never goes back, ends at the last value"""
    play = Play(context, role, clients=4)
    values: dict[int, list[int]] = {1: [], 2: [], 3: []}
    errors: list[str] = []
    writer = play.zks[0]
    writer.create("/data", b"0")
    last = [0]

    def watch(index: int) -> None:
        def on_data(data: bytes | None, stat: object) -> None:
            if data is None or stat is None:
                errors.append(f"client {index} was told that the znode is gone")
                return
            values[index].append(int(data))

        DataWatch(play.zks[index], "/data", on_data)

    def write(times: int, phase: str) -> None:
        for _ in range(times):
            last[0] += 1
            writer.retry(writer.set, "/data", b"%d" % last[0])
        for index, seen in values.items():
            until(f"client {index} to be told {last[0]} {phase}", lambda seen=seen: seen and seen[-1] == last[0])

    for index in values:
        play.zks[index].sync("/data")
        watch(index)
    write(STEPS, "with all servers up")
    play.kill()
    write(STEPS, f"without the {role}")
    play.bring_back()
    write(STEPS, "after its return")
    equal(errors, [], "what the watchers complained about")
    for index, seen in values.items():
        equal(seen, sorted(set(seen)), f"values that client {index} was told")
    play.check_sessions()


@recipe("children_watch")
def children_watch(context: Context, role: str) -> None:
    """ChildrenWatch: ends at the children there are"""
    play = Play(context, role, clients=4)
    told: dict[int, list[list[str]]] = {1: [], 2: [], 3: []}
    writer = play.zks[0]
    writer.create("/parent")
    there: set[str] = set()
    number = [0]

    def change(times: int, phase: str) -> None:
        for _ in range(times):
            number[0] += 1
            name = f"child-{number[0]}"
            writer.retry(writer.ensure_path, f"/parent/{name}")
            there.add(name)
            if number[0] % 2 == 0:
                gone = f"child-{number[0] // 2}"
                if gone in there:
                    writer.retry(writer.delete, f"/parent/{gone}")
                    there.remove(gone)
        want = sorted(there)
        for index, lists in told.items():
            until(f"client {index} to be told {want} {phase}", lambda lists=lists: lists and lists[-1] == want)

    for index in told:
        play.zks[index].sync("/parent")
        ChildrenWatch(play.zks[index], "/parent", lambda names, lists=told[index]: lists.append(sorted(names)))
    change(STEPS, "with all servers up")
    play.kill()
    change(STEPS, f"without the {role}")
    play.bring_back()
    change(STEPS, "after its return")
    play.check_sessions()
