"""A pytest plugin: kazoo's own tests against servers of ours, `pytest -p clients.kazoo_plugin --pyargs kazoo.tests`.

kazoo's harness starts Java servers and makes certificates for them. Its cluster is replaced here by an ensemble, and
the two packages that it needs for certificates by empty ones. The environment says the rest: KAZOO_SERVERS (kinds),
KAZOO_COMMAND, KAZOO_DIRECTORY.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path

for _absent in ("OpenSSL", "jks"):
    sys.modules.setdefault(_absent, types.ModuleType(_absent))

from kazoo.testing import harness as kazoo_harness  # noqa: E402

from .ensemble import Ensemble, Server  # noqa: E402
from .harness import Context, Options  # noqa: E402

# What kazoo's harness gives to its servers; "super:test" is the superuser.
SETTINGS = {
    "reconfigEnabled": "true",
    "DigestAuthenticationProvider.superDigest": "super:D/InIHSb7yEEbrWz8b9l71RjZJU=",
    "readonlymode.enabled": "true",
}
_numbers = itertools.count(1)


class ManagedServer:
    """A server in the shape that kazoo's tests know."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.address = self.secure_address = server.address
        self.client_port = server.client_port

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._server.process is not None

    def run(self) -> None:
        """Starts it."""
        if not self.running:
            self._server.start()

    def stop(self) -> None:
        """Stops it; its files stay."""
        self._server.stop()

    def destroy(self) -> None:
        """Stops it; what it has stored goes."""
        self.stop()
        shutil.rmtree(self._server.data)
        self._server.data.mkdir()
        (self._server.data / "myid").write_text(f"{self._server.sid}\n")


class Cluster:
    """Three servers in the shape that kazoo's harness knows."""

    def __init__(self, **_: object) -> None:
        kinds = os.environ["KAZOO_SERVERS"].split(",")
        options = Options(kinds=kinds, command=os.environ["KAZOO_COMMAND"], rounds=1, clients=1)
        # kazoo's harness makes another one when a test class wants local sessions.
        directory = Path(os.environ["KAZOO_DIRECTORY"]) / f"cluster{next(_numbers)}"
        local = os.environ.get("ZOOKEEPER_LOCAL_SESSION_RO", "false")
        settings = {**SETTINGS, "localSessionsEnabled": local, "localSessionsUpgradingEnabled": local}
        self._ensemble = Ensemble(Context("kazoo", directory, options), directory, 3, **settings)
        self._servers = [ManagedServer(server) for server in self._ensemble.servers]

    def __getitem__(self, index: int) -> ManagedServer:
        return self._servers[index]

    def __iter__(self) -> Iterator[ManagedServer]:
        return iter(self._servers)

    def start(self) -> None:
        """Starts all of them and waits until they serve."""
        for server in self._servers:
            server.run()
        self._ensemble.wait_serving()

    def terminate(self) -> None:
        """Stops all of them; the next start is a fresh one."""
        for server in self._servers:
            server.destroy()

    def get_logs(self) -> list[list[str]]:
        """What they have printed."""
        return [server.log_text().splitlines()[-30:] for server in self._ensemble.servers]


kazoo_harness.ZookeeperCluster = Cluster
