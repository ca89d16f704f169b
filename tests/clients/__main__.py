"""The runner: `tests/clients/run [options] [tests]`."""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import logging
import os
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

from .harness import TESTS, Context, Options, Test

# In the order in which they run: what is most fundamental first.
for module in (
    "session",
    "shells",
    "watches",
    "events",
    "corners",
    "curator",
    "storm",
    "suites",
    "durability",
    "kill9",
    "recipes",
    "badinput",
    "interop",
    "directories",
):
    importlib.import_module(f".{module}", __package__)

LOG_LINES_SHOWN = 30
LOG_LINE_WIDTH = 240


class TestLimit(BaseException):
    """A test took longer than it may."""


def main() -> int:
    arguments = parse_arguments()
    selected = select(arguments.tests)
    if arguments.ci and not arguments.tests:
        selected = [test for test in selected if test.ci]
    if arguments.list:
        width = max(len(test.name) for test in selected)
        for test in selected:
            print(f"{test.name:{width}}  {test.summary}")
        return 0
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    options = Options(
        kinds=arguments.server.split(","),
        command=arguments.command or default_command(target, arguments.server),
        rounds=arguments.rounds or (3 if arguments.ci else 10),
        clients=arguments.clients,
    )
    # kazoo logs what the tests provoke on purpose.
    logging.basicConfig(level=logging.CRITICAL)

    root = (target / "clients").resolve()
    shutil.rmtree(root, ignore_errors=True)
    passed = 0
    failed: list[str] = []
    began = time.monotonic()
    for test in selected:
        print(f"{test.name}: {test.summary}", flush=True)
        started = time.monotonic()
        verdict = run_one(test, Context(test.name, root / test.name, options), arguments.keep)
        if verdict == "passed":
            passed += 1
        else:
            failed.append(test.name)
        print(f"{verdict:>7}  {test.name}  ({time.monotonic() - started:.1f} s)\n", flush=True)
    if failed:
        print(f"failed: {' '.join(failed)}\nTheir servers' directories: {relative(root)}")
    print(f"{time.monotonic() - began:.0f} s in all, servers: {arguments.server}")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/clients/run", description=__doc__)
    parser.add_argument("tests", nargs="*", help="names, prefixes up to a dot, or globs; all of them by default")
    parser.add_argument("--list", action="store_true", help="list the tests and end")
    parser.add_argument(
        "--server",
        default="quorate",
        help="quorate (default), java (Debian's 3.8), or one per server: java,quorate,quorate",
    )
    parser.add_argument(
        "--command",
        help="command of a Quorate server, {cfg} is its zoo.cfg (default: the release build, else the debug build)",
    )
    parser.add_argument(
        "--ci",
        action="store_true",
        help="3 rounds where the full run does 10, and without the tests that take long and tell little more",
    )
    parser.add_argument("--rounds", type=int, help="rounds of kill9")
    parser.add_argument("--clients", type=int, default=32, help="writing clients of kill9")
    parser.add_argument("--keep", action="store_true", help="keep the servers' directories of passed tests too")
    arguments = parser.parse_args()
    unknown = set(arguments.server.split(",")) - {"quorate", "java"}
    if unknown:
        parser.error(f"--server: unknown kind {', '.join(sorted(unknown))}")
    return arguments


def select(patterns: list[str]) -> list[Test]:
    if not patterns:
        return list(TESTS.values())
    chosen = []
    for pattern in patterns:
        hits = [
            t for n, t in TESTS.items() if n == pattern or n.startswith(f"{pattern}.") or fnmatch.fnmatch(n, pattern)
        ]
        if not hits:
            sys.exit(f"no test is called {pattern}; --list shows them")
        chosen += [hit for hit in hits if hit not in chosen]
    return chosen


def default_command(target: Path, server: str) -> str:
    for profile in ("release", "debug"):
        binary = (target / profile / "quorate").resolve()
        if binary.exists():
            return f"{binary} serve {{cfg}}"
    if "quorate" in server:
        sys.exit("no quorate binary: run `cargo build --release -p quorate` first, or choose `--server java`")
    return ""


def run_one(test: Test, context: Context, keep: bool) -> str:
    def on_alarm(_signal: int, _frame: object) -> None:
        raise TestLimit(f"the test took longer than {test.limit_s} s")

    def on_end(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGTERM, on_end)
    verdict = "passed"
    signal.alarm(test.limit_s)
    try:
        test.body(context)
    except (Exception, TestLimit):
        verdict = "failed"
        signal.alarm(0)
        traceback.print_exc(file=sys.stdout)
        # Before the servers are ended: what they say at their end is not what went wrong.
        show_logs(context)
    finally:
        signal.alarm(0)
        complaints = context.close()
    for complaint in complaints:
        print(f"    {complaint}")
    if complaints and verdict != "failed":
        verdict = "failed"
        show_logs(context)
    if verdict != "failed" and not keep:
        shutil.rmtree(context.directory, ignore_errors=True)
    return verdict


def show_logs(context: Context) -> None:
    for ensemble in context.ensembles:
        for server in ensemble.servers:
            print(f"    --- {server}: the last {LOG_LINES_SHOWN} lines of {relative(server.log)}")
            for line in server.log_text().splitlines()[-LOG_LINES_SHOWN:]:
                print(f"    | {line[:LOG_LINE_WIDTH]}")


def relative(path: Path) -> str:
    return os.path.relpath(path)


if __name__ == "__main__":
    sys.exit(main())
