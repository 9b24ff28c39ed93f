"""A TCP proxy that does to a connection what networks do: stall, slow down, corrupt, cut, or never say a word.

with FaultProxy(server.port) as proxy:
    url = proxy.through(server.url)
    proxy.stall()                 # both ends stay open, nothing passes: a half-open connection, once the server dies
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from dataclasses import dataclass
from typing import Self

_CHUNK = 4096


@dataclass
class Faults:
    """What is done to the bytes from the server to the client; changed while connections run.

    rate: bytes per second, None for all there are. corrupt: chance of each byte to be replaced.
    """

    silent: bool = False
    rate: float | None = None
    corrupt: float = 0.0


class FaultProxy:
    """Listens on a free port of 127.0.0.1 and passes every connection on to ``target_port``; seeded, so repeatable."""

    def __init__(self, target_port: int, seed: int = 1) -> None:
        self._target_port = target_port
        self._random = random.Random(seed)
        self._faults = Faults()
        self._flowing = threading.Event()
        self._flowing.set()
        self._closed = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0

    def through(self, url: str) -> str:
        """The same URL by way of this proxy."""
        return url.replace(f":{self._target_port}/", f":{self.port}/")

    def silent(self) -> None:
        """Accept connections from now on, and never answer."""
        self._faults.silent = True

    def stall(self) -> None:
        """Keep every connection open, and pass nothing on; not even that the server closed its end."""
        self._flowing.clear()

    def flow(self) -> None:
        """Undo every fault, for connections that still are and for new ones."""
        self._faults.silent, self._faults.rate, self._faults.corrupt = False, None, 0.0
        self._flowing.set()

    def slow(self, bytes_per_s: float) -> None:
        """Pass on at most so much from the server."""
        self._faults.rate = bytes_per_s

    def corrupt(self, chance: float) -> None:
        """Replace bytes from the server, each with this chance."""
        self._faults.corrupt = chance

    def cut(self) -> None:
        """Close every connection at once, in both directions."""
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closed.set()
        self._flowing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for end in self._open:
            end.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.append(client)
            if self._faults.silent:
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                client.close()
                continue
            self._open.append(server)
            for source, sink, down in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(source, sink, down), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, down: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                self._flowing.wait()
                if down and self._faults.corrupt:
                    data = self._spoiled(data)
                sink.sendall(data)
                if down and self._faults.rate:
                    time.sleep(len(data) / self._faults.rate)  # this is the fault itself, not a synchronisation
            self._flowing.wait()
            sink.shutdown(socket.SHUT_WR)

    def _spoiled(self, data: bytes) -> bytes:
        chance = self._faults.corrupt
        return bytes(self._random.randrange(256) if self._random.random() < chance else byte for byte in data)
