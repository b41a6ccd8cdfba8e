"""Whether models trained in bfloat16 detect anomalies as well as models trained in float32.

    python benchmarks/precision.py [--detectors PGN DeepSVDD AE] [--classes 0 3] [--seeds 3]

Trains every detector with its published settings on every normal class of CIFAR-10, once in each
precision, from the same initial weights, batches and noise, and scores all test images in float32.
A test of equivalence (TOST, margin 0.5 points) compares the paired AUROCs of a detector; n is the
number of classes times the number of seeds. Each result is appended to the file of records, and
results that it already has are not computed again. Prints a Markdown table.
"""

import argparse
import itertools
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from analysis.stats.paired import equivalence
from tune_ad.app.provenance import hardware, versions
from tune_ad.data import ImageSet, load, scaled
from tune_ad.detectors import every_detector
from tune_ad.detectors.nets import ImageShape
from tune_ad.storage.precision import BFLOAT16, FLOAT32, PRECISIONS
from tune_ad.training.ranking import auroc
from tune_ad.training.replicas.replica import ReplicaSpec
from tune_ad.training.replicas.replica_set import ReplicaSet

RECORDS = Path(__file__).parent / "records" / "precision.jsonl"
MARGIN = 0.5  # points of AUROC
KEYS = ("data", "epochs", "detector", "normal", "seed")  # of a pair
Record = dict[str, Any]


def trained_auroc(image_set: ImageSet, wanted: Mapping[str, Any], device: str) -> Record:
    """Train one model, and return its test AUROC and its time.

    Args:
        image_set: the data set.
        wanted: the values of `KEYS` and the "precision".
        device: "cpu" or "cuda".
    """
    detector = every_detector()[wanted["detector"]]
    train = image_set.train_images[image_set.train_labels == wanted["normal"]]
    shape = ImageShape(*train.shape[1:])
    config = detector.Config.released(shape, epochs=wanted["epochs"])
    images = scaled(torch.cat([train, image_set.test_images]).to(device), config.scaling)
    task = f"{image_set.name}/{wanted['normal']}"
    replica_set = ReplicaSet(
        detector,
        config,
        images,
        [ReplicaSpec(task, wanted["seed"], torch.arange(len(train)))],
        precision=wanted["precision"],
    )
    started = time.process_time()
    replica_set.train(wanted["epochs"])
    seconds = time.process_time() - started
    scores = replica_set.score(0, torch.arange(len(train), len(images)))["score"]
    normal = (image_set.test_labels == wanted["normal"]).to(device)
    return {"auroc": auroc(scores[normal], scores[~normal]), "cpu_seconds": round(seconds, 1)}


def read(path: Path) -> list[Record]:
    """The records of a file, one JSON object per line."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(records: Iterable[Record]) -> pd.DataFrame:
    """The comparison of both precisions by detector, over the pairs that are complete."""
    groups = pd.DataFrame(records).groupby(["detector", "data", "epochs"])
    return pd.DataFrame(
        {"detector": detector, "images": data, "epochs": epochs, **compared(group)}
        for (detector, data, epochs), group in groups
    )


def compared(records: pd.DataFrame) -> dict[str, object]:
    """The columns of the table for the records of one detector."""
    pairs = records.pivot_table(index=["normal", "seed"], columns="precision", values="auroc")
    pairs = 100 * pairs.reindex(columns=list(PRECISIONS)).dropna()
    differences = pairs[BFLOAT16] - pairs[FLOAT32]
    times = records.groupby("precision")["cpu_seconds"].median().reindex(PRECISIONS)
    test = equivalence(differences.tolist(), MARGIN)
    return {
        "pairs": test.n,
        **{f"AUROC, {name}, %": f"{pairs[name].mean():.2f}" for name in PRECISIONS},
        "difference, points [90 %]": f"{differences.mean():+.2f} "
        f"[{test.low:+.2f}, {test.high:+.2f}]",
        "p (TOST)": f"{test.p:.2g}",
        "equivalent": "yes" if test.equivalent else "not shown",
        "CPU time, ratio": f"{times[FLOAT32] / times[BFLOAT16]:.2f}",
    }


def main() -> None:
    """Train, record and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--detectors", nargs="+", default=["PGN", "DeepSVDD", "AE"])
    parser.add_argument("--classes", nargs="+", type=int, default=[0, 3])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--records", type=Path, default=RECORDS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    records, image_set = read(options.records), load(options.data)
    seeds = range(options.seeds)
    for seed, detector, normal in itertools.product(seeds, options.detectors, options.classes):
        pair = dict(zip(KEYS, (options.data, options.epochs, detector, normal, seed), strict=True))
        for precision in PRECISIONS:
            wanted = {**pair, "precision": precision}
            if any(wanted.items() <= record.items() for record in records):
                continue
            record = {
                **wanted,
                **trained_auroc(image_set, wanted, options.device),
                "date": time.strftime("%Y-%m-%d"),
                "hardware": hardware(options.device),
            }
            records.append(record)
            with options.records.open("a") as file:
                file.write(json.dumps(record) + "\n")
    print(table(records).to_markdown(index=False, disable_numparse=True))
    print(f"\n{time.strftime('%Y-%m-%d')}, {hardware(options.device)}, {versions()}")


if __name__ == "__main__":
    main()
