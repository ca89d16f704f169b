"""What every test stands on: the registry, conditions to wait for, and the context a test gets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from . import ensemble as ens

T = TypeVar("T")

# The longest that any awaited condition may take. A bound against hanging, never a claim about speed.
PATIENCE_S = 60.0


class Failure(AssertionError):
    """A test found something wrong."""


def check(condition: object, message: str) -> None:
    """Fails the test with `message` unless `condition` holds."""
    if not condition:
        raise Failure(message)


def equal(got: object, want: object, what: str) -> None:
    """Fails the test unless `got == want`."""
    if got != want:
        raise Failure(f"{what}: got {got!r}, expected {want!r}")


def same(got: list[str], want: list[str], what: str) -> None:
    """Fails the test unless both lists are equal; says where they part."""
    if got == want:
        return
    at = next(
        (i for i, pair in enumerate(zip(got, want, strict=False)) if pair[0] != pair[1]), min(len(got), len(want))
    )
    shown = [f"{name} {lines[max(0, at - 2) : at + 6]}" for name, lines in (("got", got), ("expected", want))]
    raise Failure(f"{what}: {len(got)} for {len(want)}, equal up to number {at}; around it {' and '.join(shown)}")


def raises(kind: type[BaseException], call: Callable[[], object], what: str) -> None:
    """Fails the test unless `call` raises `kind`."""
    try:
        result = call()
    except kind:
        return
    raise Failure(f"{what}: expected {kind.__name__}, got {result!r}")


def until(what: str, probe: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """Polls `probe` until it returns something true, and returns that."""
    deadline = time.monotonic() + patience_s
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"gave up after {patience_s:.0f} s of waiting for: {what}")
        time.sleep(0.02)


@dataclass
class Options:
    """What the command line chose."""

    # How each server is started: "quorate" or "java", one per server id, cyclic.
    kinds: list[str]
    # The command of a Quorate server; `{cfg}` is the configuration file.
    command: str
    rounds: int
    clients: int


class Context:
    """One test's own directory, servers and progress lines."""

    def __init__(self, name: str, directory: Path, options: Options) -> None:
        self.name = name
        self.directory = directory
        self.options = options
        self.ensembles: list[ens.Ensemble] = []
        self._cleanups: list[Callable[[], object]] = []
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Prints a progress line."""
        print(f"    {time.monotonic() - self._started:6.1f} s  {text}", flush=True)

    def ensemble(self, servers: int = 3, **settings: object) -> ens.Ensemble:
        """Configures servers (not started); the runner ends them after the test."""
        name = "servers" if not self.ensembles else f"servers{len(self.ensembles) + 1}"
        made = ens.Ensemble(self, self.directory / name, servers, **settings)
        self.ensembles.append(made)
        return made

    def serving(self, servers: int = 3, **settings: object) -> ens.Ensemble:
        """An ensemble that is up, every member of it."""
        made = self.ensemble(servers, **settings)
        made.start()
        return made

    def cleanup(self, call: Callable[[], object]) -> None:
        """Runs `call` after the test, before the servers are ended; the last one first."""
        self._cleanups.append(call)

    def close(self) -> list[str]:
        """Ends everything the test started; returns what was wrong with how the servers ended."""
        while self._cleanups:
            try:
                self._cleanups.pop()()
            except Exception as error:  # a client that is already gone
                self.say(f"(cleaning up: {error!r})")
        return [complaint for made in self.ensembles for complaint in made.close()]


@dataclass
class Test:
    """A registered test."""

    name: str
    body: Callable[[Context], None]
    # The whole test is abandoned after this.
    limit_s: int
    # Whether `--ci` runs it.
    ci: bool

    @property
    def summary(self) -> str:
        """The first line of its description."""
        return (self.body.__doc__ or "").strip().splitlines()[0]


TESTS: dict[str, Test] = {}


def test(
    name: str, limit_s: int = 240, *, ci: bool = True
) -> Callable[[Callable[[Context], None]], Callable[[Context], None]]:
    """Registers the function below it under `name`."""

    def register(body: Callable[[Context], None]) -> Callable[[Context], None]:
        assert name not in TESTS, name
        TESTS[name] = Test(name, body, limit_s, ci)
        return body

    return register
