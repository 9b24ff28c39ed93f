"""A small HTTP server for the tests: gives bytes at a pace, or an error, like a camera's web page does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_CHUNK = 188 * 7


@contextmanager
def serve(
    body: bytes = b"", kind: str = "video/mp2t", status: int = 200, bytes_per_s: float | None = None
) -> Iterator[str]:
    """Answer every request on 127.0.0.1 alike, and give the URL; ``bytes_per_s`` paces the answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="cam"')
            self.send_header("Content-Type", kind)
            self.end_headers()
            try:
                for at in range(0, len(body), _CHUNK):
                    self.wfile.write(body[at : at + _CHUNK])
                    if bytes_per_s:
                        time.sleep(_CHUNK / bytes_per_s)  # the camera's own pace, not a synchronisation
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/stream"
    finally:
        server.shutdown()
        server.server_close()
