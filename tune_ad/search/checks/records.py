"""Whether the records of a study fit its search and each other, where every type is right."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tune_ad.errors import UserError, cut
from tune_ad.search.distributions import from_json
from tune_ad.search.plans import contains
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.jsonl import CONVERSION, JsonLines
from tune_ad.storage.records import TrialRecord, TrialSpec


class Misfit(NamedTuple):
    """A record that does not fit.

    Attributes:
        file: its file.
        line: the number of its line, from 1.
        fault: what does not fit, in words.
        record: the record of a trial; None for a proposed configuration.
    """

    file: JsonLines
    line: int
    fault: str
    record: TrialRecord | None = None


class Records(NamedTuple):
    """The records of a study as they lie in its files.

    Attributes:
        specs: the proposed configurations.
        trials: the finished trials.
        evaluation: the winner on fresh seeds.
    """

    specs: Sequence[TrialSpec]
    trials: Sequence[TrialRecord]
    evaluation: Sequence[TrialRecord]


def check_records(folder: StudyFolder) -> None:
    """Check that a study can go on from its records, of which those of retried trials count, too.

    Raises:
        UserError: with file and line of the first that is damaged, or does not fit.
    """
    folder.read_retried()
    records = Records(folder.read_trial_specs(), folder.read_trials(), folder.read_evaluation())
    for misfit in misfits(folder, folder.read_study(), records):
        raise UserError(
            f"{misfit.file.path}, line {misfit.line}: {misfit.fault}; restore the file from a "
            "backup" + (" or remove that line" if misfit.record else "")
        )


def misfits(folder: StudyFolder, stored: Mapping[str, Any], records: Records) -> Iterator[Misfit]:
    """The records of a study that do not fit it.

    Args:
        folder: the folder of the study.
        stored: the content of `study.json`, not older than the records.
        records: the records, in the order of their lines.

    Raises:
        UserError: if the distribution of a parameter in `study.json` cannot be read.
    """
    study, specs = _Study(folder, stored), dict[int, TrialSpec]()
    for line, spec in enumerate(records.specs, 1):
        if fault := next(study.of_spec(spec), None):
            yield Misfit(folder.suggested, line, fault)
        else:
            specs[spec.number] = spec
    for line, record in enumerate(records.trials, 1):
        faults = study.of_trial(record, specs.get(record.number))
        if fault := next(faults, None):
            yield Misfit(folder.trials, line, fault, record)
    for line, record in enumerate(records.evaluation, 1):
        if fault := next(study.of_record(record, "fresh_seeds"), None):
            yield Misfit(folder.evaluation, line, fault, record)


class _Study:
    """What the records of a study must fit.

    Args:
        folder: the folder of the study.
        stored: the content of `study.json`.
    """

    def __init__(self, folder: StudyFolder, stored: Mapping[str, Any]) -> None:
        self.stored, self.trials = stored, stored["study"]["budget"]["trials"]
        self.baselines = stored["study"]["baselines"]
        self.tasks = {task["name"] for task in stored["tasks"]}
        try:
            self.spaces = {
                name: {key: from_json(text) for key, text in baseline["space"].items()}
                for name, baseline in self.baselines.items()
            }
        except CONVERSION as error:
            raise UserError(
                f"{folder.study}: the distribution of a parameter cannot be read; restore the "
                "file from a backup"
            ) from error

    def of_spec(self, spec: TrialSpec) -> Iterator[str]:
        """What does not fit in a proposed configuration."""
        yield from self._of_number(spec.number)
        if spec.baseline not in self.baselines:
            yield f"the study has no baseline {_shown(spec.baseline)}"
            return
        space = self.spaces[spec.baseline]
        for name, distribution in space.items():
            if name not in spec.params:
                yield f"trial {spec.number} lacks the parameter {name}"
            elif not contains(distribution, spec.params[name]):
                value = _shown(spec.params[name])
                yield f"trial {spec.number} has {name} = {value}, outside its search space"
        known = self.baselines[spec.baseline].get("params")
        for name in spec.params.keys() - space.keys() if known else ():
            if name not in known:
                yield f"{spec.baseline} has no parameter {_shown(name)}"

    def of_trial(self, record: TrialRecord, spec: TrialSpec | None) -> Iterator[str]:
        """What does not fit in the record of a trial.

        Args:
            record: the record.
            spec: its configuration as it was proposed; None if that is not known.
        """
        yield from self._of_number(record.number)
        yield from self.of_record(record, "seeds")
        if spec is None:
            return
        if spec.baseline != record.baseline:
            yield f"trial {record.number} was proposed for {spec.baseline}, not {record.baseline}"
        for name, value in spec.params.items():
            if name not in record.params or record.params[name] != value:
                has = _shown(record.params.get(name))
                yield f"trial {record.number} was proposed with {name} = {value!r}, and has {has}"

    def of_record(self, record: TrialRecord, seeds: str) -> Iterator[str]:
        """What does not fit in the record of a trial, or of the winner on a fresh seed.

        Args:
            record: the record.
            seeds: the field of `study.json` with the seeds of its models.
        """
        if record.baseline not in self.baselines:
            yield f"the study has no baseline {_shown(record.baseline)}"
        for replica in record.replicas:
            if replica.task not in self.tasks:
                yield f"the study has no task {_shown(replica.task)}"
            if replica.seed not in self.stored.get(seeds, [replica.seed]):
                yield f"the study has no seed {replica.seed} among its {seeds.replace('_', ' ')}"
        yield from _of_models(record)

    def _of_number(self, number: int) -> Iterator[str]:
        if number >= self.trials:
            yield f"the study has only {self.trials} trials, and no trial {number}"


def _of_models(record: TrialRecord) -> Iterator[str]:
    """What does not fit the number of models, or the parameters, of a record."""
    models = len(record.replicas)
    for metrics in (record.metrics, *record.variants.values()):
        for metric, values in metrics.items():
            if len(values) != models:
                yield f"{cut(str(metric))} has {len(values)} values for {models} models"
    for warning in record.warnings:
        if not all(0 <= place < models for place in warning.replicas):
            yield f"a warning is about models {_shown(warning.replicas)} of {models}"
    names = [name for name in [*record.searched, *record.chosen] if name not in record.params]
    if names:
        yield f"{_shown(names[0])} is chosen, but is no parameter of the trial"


def _shown(value: object) -> str:
    return cut(repr(value))
