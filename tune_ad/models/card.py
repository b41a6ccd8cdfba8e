"""The model card: what a kept model is, how it was tested, and where it does not apply."""

from typing import TYPE_CHECKING

from tune_ad.data.own.decoding import EXACT
from tune_ad.wording import count

if TYPE_CHECKING:
    from tune_ad.models.conformal import Checked
    from tune_ad.models.folder import Auroc, Description, KeptTask


def card(description: "Description") -> str:
    """The model card in Markdown."""
    origin, taken = description.provenance, description.preprocessing
    detector = description.detector.partition(":")[2]
    tasks = description.tasks
    seeds = [str(member.seed) for member in tasks[0].members]
    lines = [
        f"# {detector}, from " + (f"the study {origin['study']}" if origin["study"] else "Python"),
        "",
        f"An anomaly detector for images: {count(len(seeds), 'model')} per normal class, trained "
        f"with the seeds {', '.join(seeds)}, whose standardised scores are averaged. A larger "
        "score is more anomalous; the score has no unit.",
        "",
        "## Use",
        "",
        "```",
        "python run.py --score FOLDER_OF_THIS_FILE --input IMAGES --output scores.csv",
        "```",
        "",
        "`p_value` is the share of normal images, out of those that neither training nor "
        "selection has seen, that score at least as high (conformal: a normal image gets a "
        "p-value of at most a with a probability of at most a). `alarm` is 1 if the score "
        "exceeds the threshold. Both hold for new images that are taken in the same way as the "
        "normal images of the study; after a change of camera, light or preprocessing they do "
        "not.",
        "",
        "Files that end in `.joblib`, and those in `code/`, run code when the model is read: only "
        "use folders from people whom you trust.",
        "",
        "## Images",
        "",
        f"{taken.height} x {taken.width} pixels, {taken.colour}; {_other_sizes(taken.resize)}. "
        f"Data: {origin['data']}.",
        "",
        "## Thresholds and tests",
        "",
        "| normal class | test AUROC of the ensemble [95 % interval, test images] | threshold | "
        "false alarms, on average at most | 95 % interval of the rate | normal images | alarms of "
        "held-out normal images |",
        "|---|---|---|---|---|---|---|",
        *map(_row, tasks),
        "",
        *(f"{task.normal}: {line}." for task in tasks if (line := _shortfall(task))),
        "",
        "The interval is that of the rate of this one calibration set; the bound before it holds "
        "on average over calibration sets. The last column: the images were divided into two "
        "halves, each decided by the threshold of the other.",
        "",
        "## Origin",
        "",
        f"Configuration: selected by {origin['rule']}; the models here were trained on seeds that "
        "selection did not use."
        if origin["rule"]
        else "Configuration: chosen by the user.",
        "",
        "```",
        *(f"{name} = {value}" for name, value in sorted(description.config.items())),
        "```",
        *_chosen(tasks[0]),
        "",
        *(f"- {name}: {value}" for name, value in origin["versions"].items()),
        f"- trained on: {origin['hardware']}",
        f"- written: {origin['created']}",
        "",
    ]
    return "\n".join(lines)


def _other_sizes(rule: str) -> str:
    """What happens to image files of another size."""
    if rule == EXACT:
        return "files of another size are refused"
    return f"files of another size are brought to this one by the rule {rule!r}"


def _chosen(task: "KeptTask") -> list[str]:
    """A line on each model whose score-time parameters were chosen for its seed."""
    return [
        f"- seed {member.seed}: {', '.join(f'{n} = {v}' for n, v in member.chosen.items())}, "
        "chosen on held-out images after training"
        for member in task.members
        if member.chosen
    ]


def _shortfall(task: "KeptTask") -> str:
    if task.threshold is None:
        return "no threshold, because its configuration was selected by the test images"
    return task.threshold.shortfall


def _shown(outsider: str, auroc: "Auroc") -> str:
    """An AUROC in per cent with its interval and its outsider set, as in "95.1 [93.1, 97.0] %"."""
    ends = [f"{100 * end:.1f}" for end in (auroc.low, auroc.high) if end is not None]
    interval = f" [{', '.join(ends)}]" if ends else ""
    return f"{100 * auroc.value:.1f}{interval} %" + (f" ({outsider})" if outsider else "")


def _held_out(check: "Checked") -> str:
    """How many held-out images raised an alarm, and what their two thresholds guarantee."""
    share = check.alarms / check.images
    return f"{share:.2%} ({check.alarms} of {check.images}); at most {check.guaranteed:.2%}"


def _row(task: "KeptTask") -> str:
    limit, check = task.threshold, task.check
    aurocs = [_shown(outsider, auroc) for outsider, auroc in task.aurocs.items()]
    cells = [
        task.normal,
        ", ".join(aurocs) or "no anomaly is known",
        f"{limit.value:.4g}" if limit else "none",
        f"{limit.rate:.2%}" if limit else "-",
        f"{limit.low:.2%} to {limit.high:.2%}" if limit else "-",
        str(limit.images) if limit else "0",
        _held_out(check) if check else "-",
    ]
    return f"| {' | '.join(cells)} |"
