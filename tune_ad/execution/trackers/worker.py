"""A thread that does what a tracker is told, so that a slow one delays no trial."""

import queue
import re
import threading
import warnings
from collections.abc import Callable

LONGEST = 60.0  # seconds for which the end of a study waits for what is still to be sent
PACKAGES = tuple("alembic google mlflow pydantic requests sqlalchemy urllib3 wandb".split())
"""The clients of trackers, and what they use."""
Task = Callable[[], None]


def ignore_warnings_of_clients() -> None:
    """Ignore warnings about code of the clients, which the user did not call, from now on.

    To be called in the main thread before a `Worker` starts. The filters of warnings belong to the
    process: if the thread of a worker set and restored them, one that another thread has set
    meanwhile could stay.
    """
    places = "|".join((*PACKAGES, re.escape(__name__.rpartition(".")[0])))
    warnings.filterwarnings("ignore", module=rf"({places})(\.|$)")


class Worker:
    """Does tasks one after another, in a thread; after one that fails, none.

    Attributes:
        fault: what the failed task raised, or that the tasks were not done in time; None so far.
    """

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self._tasks: queue.Queue[Task | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def do(self, task: Task) -> None:
        """Do a task when those before it are done."""
        if self.fault is None:
            self._tasks.put(task)

    def close(self, seconds: float = LONGEST) -> None:
        """End after the tasks that were given, or at the end of a time.

        Args:
            seconds: that time.
        """
        self._tasks.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive() and self.fault is None:
            self.fault = TimeoutError(f"not done within {seconds:g} s")

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            if self.fault is not None:
                continue
            try:
                task()
            except Exception as error:  # whatever a client of a server raises
                self.fault = error
