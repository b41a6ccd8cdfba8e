"""SVHN: house numbers in photographs, cropped to one digit, 32 x 32 in colour."""

from pathlib import Path

from tune_ad.data.declaration import Arrays, DataSet, Torchvision


def _from_torchvision(root: Path, download: bool) -> Arrays:
    from torchvision.datasets import SVHN

    train, test = (SVHN(root, split=part, download=download) for part in ("train", "test"))
    return Arrays(
        train.data.transpose(0, 2, 3, 1),
        train.labels,
        test.data.transpose(0, 2, 3, 1),
        test.labels,
    )


DATA_SET = DataSet(
    name="svhn",
    classes=tuple("0123456789"),
    about="SVHN cropped digits, the official training and test files, without the extra ones",
    shape=(3, 32, 32),
    torchvision=Torchvision(
        files=("train_32x32.mat", "test_32x32.mat"),
        read=_from_torchvision,
    ),
)
