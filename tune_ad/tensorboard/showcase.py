"""A run that shows results without a trial: images, a text, and codes with their images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tensorboard.plugins.text.summary_v2 import text_pb

from tune_ad.tensorboard.event_files import is_written, write_once
from tune_ad.tensorboard.pictures import Pixels, image_value
from tune_ad.tensorboard.projector import Embedding, remove_embeddings, write_embeddings

KIND = "showcase"


def write_showcase(
    folder: Path, text: str, images: Mapping[str, Pixels], embeddings: Sequence[Embedding]
) -> None:
    """Write a run, in place of what it had; the same again has no effect.

    Args:
        folder: the folder of the run.
        text: a text in Markdown that differs when anything else does.
        images: the images by their tags.
        embeddings: codes, which may be none.

    Raises:
        ValueError: an image has another shape or type, or codes do not fit their images.
    """
    values = [*text_pb("about", text).value]
    values += [image_value(tag, pixels) for tag, pixels in images.items()]
    if is_written(folder, KIND, values):
        return
    if embeddings:  # before the file that says that all is there
        write_embeddings(folder, embeddings)
    else:
        remove_embeddings(folder)
    write_once(folder, KIND, values)
