"""Shows the report of a study on this machine, and writes it again when its records change.

The page at the root holds the report in a frame and asks every two seconds whether it has changed;
so the report itself stays a file without a connection to anything.
"""

import base64
import errno
import hashlib
import os
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tune_ad.errors import UserError
from tune_ad.storage.folder import StudyFolder

HOST = "127.0.0.1"
"""The only address that is listened to: whoever reaches it can already read the files."""
LOOK_SECONDS = 2.0  # between two looks at the records
PAUSE = 4.0  # at least so many times as long as the report took to be written
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".tex": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
}
FOLDERS = ("tables", "figures")
REPORT = "report.html"
STYLE = "html,body{margin:0;height:100%}iframe{border:0;width:100%;height:100%;display:block}"
SCRIPT = """
const frame = document.querySelector("iframe");
let shown = null;
async function look() {
  try {
    const reply = await fetch("version", {cache: "no-store"});
    const version = await reply.text();
    if (shown !== null && version !== shown) frame.contentWindow.location.reload();
    if (reply.ok) shown = version;
  } catch (error) {
    document.title = "no longer served";
  }
}
frame.addEventListener("load", () => { document.title = frame.contentDocument.title; });
look();
setInterval(look, 2000);
"""
PAGE = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>report</title><style>{STYLE}</style></head>
<body><iframe src="{REPORT}" title="report"></iframe><script>{SCRIPT}</script></body>
</html>
"""
WAITING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>no report yet</title></head>
<body><p>There is no report yet; it appears here once a trial has ended.</p></body></html>
"""


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


POLICY = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; "
    "frame-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""What the page at the root may load; the report has a policy of its own."""


class Server(ThreadingHTTPServer):
    """Answers requests for the report of one study.

    Args:
        folder: the folder of the study.
        port: the port; 0 = one that is free.

    Raises:
        UserError: if the port cannot be used.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder.resolve()
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            reason = "another program listens there"
            if error.errno != errno.EADDRINUSE:
                reason = os.strerror(error.errno or 0)
            raise UserError(
                f"--port {port} cannot be used ({reason}); leave it out, and a free one is chosen"
            ) from error

    def server_bind(self) -> None:
        """Bind without asking any server of names for the name of this machine."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Leave it at that if the browser has gone."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def port(self) -> int:
        """The port."""
        return int(self.server_address[1])

    @property
    def names(self) -> set[str]:
        """The names by which a browser on this machine calls it.

        A page from elsewhere whose own name leads to this machine asks by that name.
        """
        return {f"{host}:{self.port}" for host in (HOST, "localhost")}

    @property
    def version(self) -> str:
        """A text that changes with the report."""
        try:
            stat = (self.folder / REPORT).stat()
        except OSError:
            return "none"
        return f"{stat.st_mtime_ns}-{stat.st_size}"

    def file(self, name: str) -> Path | None:
        """A file of the report by its path below the folder; None for whatever else there is."""
        path = Path(name)
        is_report = len(path.parts) == 1 and path.stem == "report"
        is_part = len(path.parts) == 2 and path.parts[0] in FOLDERS
        whole = self.folder / path
        if not (is_report or is_part) or path.suffix not in TYPES or not whole.is_file():
            return None
        return whole if whole.resolve() == whole else None


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Server

    def do_GET(self) -> None:  # noqa: N802
        """Answer with the page, the version of the report, or one of its files."""
        name = unquote(urlsplit(self.path).path).removeprefix("/")
        if self.headers.get("Host") not in self.server.names:
            self._answer(HTTPStatus.FORBIDDEN, b"this report is served to this machine alone")
        elif not name:
            policy = {"Content-Security-Policy": POLICY}
            self._answer(HTTPStatus.OK, PAGE.encode(), TYPES[".html"], policy)
        elif name == "version":
            self._answer(HTTPStatus.OK, self.server.version.encode())
        else:
            self._answer_file(name)

    def _answer_file(self, name: str) -> None:
        path = None if "\0" in name else self.server.file(name)
        content = None if path is None else _content(path)
        if path is not None and content is not None:
            headers = {"X-Frame-Options": "SAMEORIGIN"}
            self._answer(HTTPStatus.OK, content, TYPES[path.suffix], headers)
        elif name == REPORT:
            self._answer(HTTPStatus.OK, WAITING.encode(), TYPES[".html"])
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"the report has no such file")

    def _answer(
        self,
        status: HTTPStatus,
        content: bytes,
        kind: str = "text/plain; charset=utf-8",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        fixed = {"Content-Type": kind, "Cache-Control": "no-store"}
        fixed |= {"X-Content-Type-Options": "nosniff", "Content-Length": str(len(content))}
        for name, value in {**fixed, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Print nothing: who asks is this machine."""


def _content(path: Path) -> bytes | None:
    """The content of a file; None if it is no longer there, since reports are replaced."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


@contextmanager
def served(folder: Path, port: int) -> Iterator[Server]:
    """Context manager: a server that answers in the background.

    Args:
        folder: the folder of the study.
        port: the port; 0 = one that is free.

    Raises:
        UserError: if the port cannot be used.
    """
    with Server(folder, port) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def records(folder: Path) -> tuple[tuple[int, int] | None, ...]:
    """What changes with the records of a study: times and sizes of their files."""
    study = StudyFolder(folder)
    paths = [study.study, study.examples, *(journal.path for journal in study.journals)]
    return tuple(map(_stamp, paths))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def serve(
    folder: Path, port: int, write: Callable[[Path], object], say: Callable[[str], None]
) -> None:
    """Serve the report of a study until Ctrl-C, and write it whenever its records have changed.

    A report that cannot be written is said, once for each state of the records.

    Args:
        folder: the folder of the study.
        port: the port; 0 = one that is free.
        write: writes the report of a folder.
        say: prints a line for the user.

    Raises:
        UserError: if the port cannot be used.
        KeyboardInterrupt: at the end.
    """
    with served(folder, port) as server:
        say(f"{folder.name}: http://{HOST}:{server.port}/ (Ctrl-C ends)")
        written = None
        while True:
            began, state = time.monotonic(), records(folder)
            if state != written:
                _write(folder, write, say)
                written = state
            time.sleep(max(LOOK_SECONDS, PAUSE * (time.monotonic() - began)))


def _write(folder: Path, write: Callable[[Path], object], say: Callable[[str], None]) -> None:
    try:
        write(folder)
    except (UserError, OSError) as error:
        say(f"{folder.name}: the report is not written: {error}")
    else:
        say(f"{folder.name}: report written at {time.strftime('%H:%M:%S')}")
