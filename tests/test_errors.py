"""Errors of the machine in one line, with the advice that helps."""

import errno
import os

import pytest

from tune_ad.errors import MachineError, unusable


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "what was written before is kept. Free disk space"),
        (errno.EDQUOT, "what was written before is kept. Free disk space, or ask for a larger q"),
        (errno.EROFS, "what was written before is kept. Mount the disk for writing, or use anot"),
        (errno.EACCES, "what was written before is kept. Restore the rights to read and write it"),
        (errno.ENOENT, "Restore the folder, or use another one"),
        (errno.ENOTDIR, "Move the file away that is in the place of a folder"),
        (errno.EIO, "what was written before is kept. Check the disk, or use another folder"),
        (
            errno.EMFILE,
            "what was written before is kept. Raise the limit on open files (ulimit -n",
        ),
        (errno.EAGAIN, "what was written before is kept. Check the folder, its rights and the di"),
    ],
)
def test_each_error_has_the_advice_that_helps(number, advice):
    fault = unusable(OSError(number, os.strerror(number), "results/trials.jsonl"), "a file")
    assert isinstance(fault, MachineError)
    begin = f"results/trials.jsonl cannot be read or written ({os.strerror(number)}); "
    assert str(fault).startswith(begin + advice)
    assert ("disk space" in str(fault)) == (number in (errno.ENOSPC, errno.EDQUOT))


def test_a_refusal_without_a_path_or_a_number_names_the_place():
    text = str(unusable(OSError("odd"), "results/tiny"))
    assert text.startswith("results/tiny cannot be read or written (odd); what was written")
