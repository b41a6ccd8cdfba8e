"""What is shown as a comfort falls silent where it cannot be written."""

import io

import pytest

from tune_ad.execution.progress_line import ProgressLine
from tune_ad.silent import Silent


class Lost(io.StringIO):
    """A stream whose writes or flushes fail."""

    def __init__(self, error, flushes):
        super().__init__()
        self.error, self.flushes, self.tries = error, flushes, 0

    def write(self, text):
        self.tries += 1
        if not self.flushes:
            raise self.error
        return len(text)

    def flush(self):
        if self.flushes:
            self.tries += 1
            raise self.error


LOST = [OSError(28, "No space left"), BrokenPipeError(), OSError(9, "Bad file"), ValueError("x")]


@pytest.mark.parametrize("error", LOST, ids=repr)
@pytest.mark.parametrize("flushes", [False, True])
def test_a_stream_that_fails_once_is_not_asked_again(error, flushes):
    lost = Lost(error, flushes)
    shown = Silent(lost)
    for _ in range(3):
        assert shown.write("text") == 4
        shown.flush()
    assert lost.tries == (2 if flushes else 1)
    assert not shown.isatty()


def test_a_closed_standard_error_is_none():
    shown = Silent(None)
    assert shown.write("text") == 4 and not shown.isatty() and shown.encoding == "utf-8"
    with pytest.raises(OSError, match="no standard error"):
        shown.fileno()


def test_a_stream_that_works_is_written():
    stream = io.StringIO()
    shown = Silent(stream)
    shown.write("text")
    assert stream.getvalue() == "text"


@pytest.mark.parametrize("stream", [None, Lost(OSError(28, "full"), False)])
def test_the_progress_line_goes_on_without_a_standard_error(stream, monkeypatch):
    monkeypatch.setattr("sys.stderr", stream)
    line = ProgressLine("study", 2)
    line.advance(1.0)
    line.set_text("further")
    line.advance(1.0)
    line.close()
    assert line.n == 2


def test_a_line_that_was_interrupted_while_it_was_made_is_closed_in_silence():
    ProgressLine.__new__(ProgressLine).close()
