"""A network that can be cut: connections to a server on the loopback address, carried until they are not."""

import contextlib
import socket
import threading
from typing import Final

_PIECE: Final = 1 << 16
_LOOK_SECONDS: Final = 0.05


class Proxy:
    """Listens on a port of its own and carries bytes to `target` (set it before anybody connects)."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(_LOOK_SECONDS)
        self.port: int = self._server.getsockname()[1]
        self.target = 0
        self._whole = threading.Event()
        self._whole.set()
        self._closed = threading.Event()
        self._generation = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self) -> None:
        """Carry nothing any more, and tell nobody: what is sent gets lost."""
        self._whole.clear()

    def heal(self) -> None:
        """Carry again. Connections from before are reset, as after a long silence."""
        self._generation += 1
        self._whole.set()

    def close(self) -> None:
        """End."""
        self._closed.set()
        self._whole.set()
        self._generation += 1
        for thread in self._threads:
            thread.join(5)
        self._server.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            self._whole.wait()
            try:
                client, _ = self._server.accept()
            except TimeoutError:
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), 1)
            except OSError:
                client.close()
                continue
            for pair in ((client, server), (server, client)):
                thread = threading.Thread(target=self._carry, args=(*pair, self._generation), daemon=True)
                thread.start()

    def _carry(self, source: socket.socket, sink: socket.socket, generation: int) -> None:
        with contextlib.suppress(OSError):
            source.settimeout(_LOOK_SECONDS)
            while generation == self._generation:
                try:
                    piece = source.recv(_PIECE)
                except TimeoutError:
                    continue
                self._whole.wait()
                if not piece or generation != self._generation:
                    break
                sink.sendall(piece)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
