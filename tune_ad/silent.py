"""Text streams that are a comfort: they fall silent where they cannot be written."""

from typing import TextIO


class Silent:
    """A text stream that writes as another one does, until that cannot be written.

    For the standard error, which shows progress and warnings: where it is closed, or its reader
    has gone, nothing is shown, and the program goes on.

    Args:
        stream: the other stream; None, as Python has it if the program began with a closed one.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.stream, self.lost = stream, stream is None

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        if self.stream is not None and not self.lost:
            try:
                self.stream.write(text)
            except (OSError, ValueError):  # ValueError: the stream is closed
                self.lost = True
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        if self.stream is not None and not self.lost:
            try:
                self.stream.flush()
            except (OSError, ValueError):
                self.lost = True

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return not self.lost and self.stream is not None and self.stream.isatty()

    def fileno(self) -> int:
        """The number of its file.

        Raises:
            OSError: if it has none.
        """
        if self.stream is None:
            raise OSError("there is no standard error")
        return self.stream.fileno()

    @property
    def encoding(self) -> str:
        """The encoding of its texts."""
        return getattr(self.stream, "encoding", None) or "utf-8"
