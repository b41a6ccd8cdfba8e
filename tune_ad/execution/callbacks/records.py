"""Writes the records of trials."""

import errno
import os
from typing import Any

from tune_ad.atomic import write_atomically
from tune_ad.execution.callbacks.base import Callback
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.jsonl import JsonLines, to_text
from tune_ad.storage.records import TrialRecord, TrialSpec
from tune_ad.training.report import Report


class RecordWriter(Callback):
    """Writes the records of trials; nothing else writes them.

    Args:
        folder: folder of the study.
        evaluation: whether the trials are the winner on fresh seeds.
    """

    def __init__(self, folder: StudyFolder, evaluation: bool = False) -> None:
        self.folder, self.evaluation = folder, evaluation
        self.lines: JsonLines = folder.evaluation if evaluation else folder.trials
        self.known = {spec.number for spec in folder.read_trial_specs()}

    def started(self, spec: TrialSpec) -> None:
        """Write down a configuration when it is first proposed."""
        self._require_folder()
        if not self.evaluation and spec.number not in self.known:
            self.known.add(spec.number)
            self.folder.suggested.append(spec)

    def reported(self, spec: TrialSpec, report: Report) -> None:
        """Write ranks of scores and kept models of a finished trial, before its record."""
        self._require_folder()
        if report.ranks:
            path = self.folder.ranks(report.record.identity, self._seed(spec))
            write_atomically(path, report.ranks)
        for name, content in report.models.items():
            write_atomically(self.folder.models(report.record.identity) / name, content)

    def _require_folder(self) -> None:
        """Refuse to write records of a study that is no longer there.

        Raises:
            FileNotFoundError: if `study.json` is gone.
        """
        if not self.folder.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.folder.study)

    def _seed(self, spec: TrialSpec) -> int | None:
        """The seed of the file names of a trial of the evaluation; otherwise None."""
        return spec.seeds[0] if self.evaluation else None

    def ended(self, spec: TrialSpec, record: TrialRecord, details: dict[str, Any]) -> None:
        """Write the details, then the record: every record has its details."""
        self._require_folder()
        path = self.folder.details(record.identity, self._seed(spec))
        write_atomically(path, to_text(details))
        self.lines.append(record)
