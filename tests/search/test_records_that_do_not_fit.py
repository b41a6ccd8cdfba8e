"""Records whose types are right, and which do not fit their study or each other."""

import copy
import shutil

import pytest

from analysis.left_out import left_out
from analysis.report.answer import answer
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.errors import UserError
from tune_ad.search.checks.records import check_records
from tune_ad.storage.folder import StudyFolder


@pytest.fixture
def study(finished, tmp_path):
    """A copy of the finished study, to be damaged."""
    shutil.copytree(finished.folder.path, tmp_path / "tiny")
    return StudyFolder(tmp_path / "tiny")


def change(file, line, changing):
    """Change a line of a journal in place."""
    lines = file.read()
    lines[line] = copy.deepcopy(lines[line])
    changing(lines[line])
    file.rewrite(lines)


def fewer_values(line):
    line["metrics"][0]["values"].pop()


def fewer_values_of_a_variant(line):
    line["variants"][0]["metrics"][0]["values"].append(0.5)


def a_trial_beyond(line):
    line["number"] = 99


def another_task(line):
    line["replicas"][0]["task"] = "mnist/7"


def another_seed(line):
    line["replicas"][0]["seed"] = 77


def another_baseline(line):
    line["baseline"] = "VAE"


def another_value(line):
    line["params"]["dropout"] = 0.987


def an_unknown_choice(line):
    line["chosen"]["colour"] = 3


def a_warning_about_others(line):
    line["warnings"] = [{"text": "odd", "replicas": [9]}]


OF_RECORDS = {
    fewer_values: "values for 2 models",
    fewer_values_of_a_variant: "3 values for 2 models",
    another_task: "the study has no task 'mnist/7'",
    another_seed: "the study has no seed 77 among its ",
    another_baseline: "the study has no baseline 'VAE'",
    an_unknown_choice: "'colour' is chosen, but is no parameter of the trial",
    a_warning_about_others: "a warning is about models (9,) of 2",
}
OF_TRIALS = {
    a_trial_beyond: "the study has only 4 trials, and no trial 99",
    another_value: "was proposed with dropout = ",
}
CASES = [
    *(("trials", *case) for case in {**OF_RECORDS, **OF_TRIALS}.items()),
    *(("evaluation", *case) for case in OF_RECORDS.items()),
]


def test_the_records_of_a_study_fit(study):
    check_records(study)
    assert StudyRecords.read(study.path).misfits == ()


@pytest.mark.parametrize(("name", "changing", "fault"), CASES)
def test_a_record_that_does_not_fit_is_refused_and_reports_leave_it_out(
    study, name, changing, fault
):
    file = getattr(study, name)
    records = len(file.read())
    change(file, 1, changing)
    with pytest.raises(UserError) as refusal:
        check_records(study)
    place = f"{file.path.relative_to(study.path)}, line 2: "
    assert str(refusal.value).startswith(f"{study.path}/{place}")
    assert fault in str(refusal.value) and "remove that line" in str(refusal.value)
    read = StudyRecords.read(study.path)
    assert len(read.trials if name == "trials" else read.evaluation) == records - 1
    said, *others = left_out(read)
    assert len(others) == (changing is another_seed and name == "evaluation")  # whose file is gone
    assert said.startswith(place) and fault in said
    assert place in answer(Findings(read))


@pytest.mark.parametrize(
    ("changing", "fault"),
    [
        (lambda line: line["params"].update(dropout=0.9), "dropout = 0.9, outside its search sp"),
        (lambda line: line["params"].update(latent_dim=8.0), "latent_dim = 8.0, outside its sea"),
        (lambda line: line["params"].pop("dropout"), "trial 1 lacks the parameter dropout"),
        (lambda line: line["params"].update(colour=1), "PGN has no parameter 'colour'"),
        (lambda line: line.update(baseline="VAE"), "the study has no baseline 'VAE'"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_and_named(study, changing, fault):
    change(study.suggested, 1, changing)
    with pytest.raises(UserError, match="suggested.jsonl, line 2: ") as refusal:
        check_records(study)
    assert fault in str(refusal.value) and "remove that line" not in str(refusal.value)
    read = StudyRecords.read(study.path)
    assert len(read.trials) == 4
    (said,) = left_out(read)
    assert said.startswith("suggested.jsonl, line 2: ") and fault in said


@pytest.mark.parametrize("options", [{"resume": True}, {"extend": 1}, {}])
@pytest.mark.parametrize("name", ["trials", "evaluation"])
def test_a_study_with_such_records_does_not_go_on(study, open_study, tiny, name, options):
    change(getattr(study, name), 0, fewer_values)
    before = {path: path.read_bytes() for path in study.path.rglob("*.json*")}
    with pytest.raises(UserError, match=f"{name}.jsonl, line 1: .* values for 2 models") as fault:
        open_study(tiny, study.path.parent, **options)
    assert fault.value.exit_code == 2
    assert {path: path.read_bytes() for path in study.path.rglob("*.json*")} == before


def test_a_value_that_is_no_number_is_damage(study):
    def text(line):
        line["metrics"][0]["values"][0] = "0.5"

    change(study.trials, 0, text)
    for compact in (True, False):
        with pytest.raises(UserError, match=r"line 1: the values of \w+ must be numbers; restore"):
            study.read_trials(compact)


def test_many_records_that_do_not_fit_are_a_few_lines(study):
    lines = study.trials.read()
    for line in lines:
        line["baseline"] = "VAE"
    study.trials.rewrite([{**line, "number": k} for k, line in enumerate(lines * 2)])
    *named, more, lacking = left_out(StudyRecords.read(study.path))
    assert (len(named), more) == (5, "and 3 more records")
    assert lacking.startswith("suggested.jsonl has only 4 of the 8 configurations")
