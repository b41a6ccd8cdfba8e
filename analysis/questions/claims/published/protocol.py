"""How a result was obtained differently from a published number, in words.

A published number is compared by a test only with a result that was obtained in the same way:
the published settings, epochs, images and precision, fixed in advance. The number of seeds may
differ, since the tests account for it, and so may the number of classes of a single cell.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from analysis.document.format import short
from analysis.questions.claims.published import Method
from analysis.quoted import NOTHING, Result
from analysis.study import StudyRecords
from tune_ad.storage.precision import FLOAT32
from tune_ad.wording import count


class Departure(NamedTuple):
    """How a result departs from a published method.

    Attributes:
        differences: what differs from the published protocol, one phrase each, such as "10 epochs
            (published: 100)"; empty = the published number and the result can be compared.
        remark: which of two published descriptions the settings follow; empty if they agree.
    """

    differences: tuple[str, ...]
    remark: str = ""

    @property
    def comparable(self) -> bool:
        """Whether a difference from the published number can be due to chance or to an error."""
        return not self.differences

    @property
    def sentence(self) -> str:
        """The differences in one phrase; empty if there are none.

        >>> Departure(("10 epochs (published: 100)",)).sentence
        'run with 10 epochs (published: 100): not comparable'
        """
        return (
            f"run with {', '.join(self.differences)}: not comparable" if self.differences else ""
        )


def departure(study: StudyRecords, result: Result, method: Method) -> Departure:
    """How a result of a study departs from a published method.

    Args:
        study: the study.
        result: one of its results, whose detector is the method.
        method: the method of a published table.
    """
    params = result.tested[0].scored_with
    of_settings, remark = _of_settings(params, method.settings)
    differences = (
        *of_settings,
        *_of_images(study.budget),
        *_of_training(study, result),
        *([f"another implementation: {method.differs}"] if method.differs else []),
    )
    return Departure(differences, remark)


def _of_settings(
    params: Mapping[str, Any], published: Mapping[str, Sequence[Any]]
) -> tuple[list[str], str]:
    """The settings that differ from the nearer of both descriptions, and which one that is.

    The first published value of a setting is that of the paper's text, the last that of its code.
    A setting that the record does not have is one that its version of the program did not have.
    """
    known = {name: values for name, values in published.items() if name in params}
    text = {name: values[0] for name, values in known.items()}
    code = {name: values[-1] for name, values in known.items()}
    from_text, from_code = (
        [name for name, value in described.items() if params[name] != value]
        for described in (text, code)
    )
    nearer, changed = (text, from_text) if len(from_text) < len(from_code) else (code, from_code)
    differences = [_setting(name, params[name], nearer[name]) for name in changed]
    other = {name: value for name, value in text.items() if value != code[name]}
    if nearer is text or not other:
        return differences, ""
    departs = ", ".join(
        f"{name} = {short(code[name])} (text: {short(v)})" for name, v in other.items()
    )
    return (
        differences,
        f"settings of the paper's released code; our reading of its text has others: {departs}",
    )


def _setting(name: str, value: object, published: object) -> str:
    if name == "epochs":
        return f"{count(int(str(value)), 'epoch')} (published: {published})"
    return f"{name} = {short(value)} (published: {short(published)})"


def _of_images(budget: Mapping[str, Any]) -> Iterator[str]:
    """The differences in the images of training and test."""
    if (trained := budget.get("train_images")) is not None:
        yield f"at most {trained:,} training images per model (published: all)"
    if held_out := budget.get("validation_fraction", 0.0):
        yield f"{100 * held_out:g} % of the training images held out (published: none)"
    if (tested := budget.get("test_images")) is not None:
        yield f"at most {tested:,} normal and {tested:,} anomalous test images (published: all)"


def _of_training(study: StudyRecords, result: Result) -> Iterator[str]:
    """The differences in how models were trained and the configuration was found."""
    precision = study.search.get("precision", {}).get(result.baseline, FLOAT32)
    if precision != FLOAT32:
        yield f"training in {precision} (published: {FLOAT32})"
    if study.search.get("patience"):
        yield "early stopping (published: none)"
    if result.rule != NOTHING:
        of_baseline = [trial for trial in study.trials if trial.baseline == result.baseline]
        tried = count(len(of_baseline), "configuration")
        yield f"the winner among {tried} by {result.rule} (published: one, fixed in advance)"
