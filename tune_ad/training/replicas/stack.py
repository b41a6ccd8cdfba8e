"""Trains several replicas of one configuration together: each step is one step of all of them.

Each convolution becomes a grouped convolution, each matrix product a batched one. Replicas share
nothing, so a NaN of one stays its own.
"""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tune_ad.detectors.base import Numbers, Terms
from tune_ad.detectors.nets.running_statistics import running_statistics_kept
from tune_ad.detectors.schedule import Phase, Stage
from tune_ad.errors import UserError
from tune_ad.storage.metric import Metric
from tune_ad.training.replicas import layout
from tune_ad.training.replicas.adam import adam_step
from tune_ad.training.replicas.joined import Alone, Gradients, Joined, Models
from tune_ad.training.replicas.precision import computed_in
from tune_ad.training.replicas.replica import Replica


class Stack:
    """Replicas of one configuration that are trained together.

    They are ordered by their numbers of training images, most first, because only the first ones
    still have a batch in the last steps of an epoch. If the last batch of an epoch is short, all
    that are trained together must have equally many.

    Args:
        replicas: the replicas, at least one.
    """

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self.replicas = sorted(replicas, key=lambda replica: -len(replica.spec.train))
        self.lead = self.replicas[0]
        modules = [replica.module for replica in self.replicas]
        self.models: Models = Joined(modules) if len(modules) > 1 else Alone(modules[0])
        self.device = self.lead.images.device
        self.ranges = self._ranges()

    def _ranges(self) -> Tensor | None:
        """The smallest pixel of each replica's training images, and their range: (2, replicas).

        None unless the scaling is fitted to the training images.
        """
        ranges = [replica.range for replica in self.replicas if replica.range is not None]
        if not ranges:
            return None
        pairs = [(r.low, r.high - r.low) for r in ranges]
        return torch.tensor(pairs, dtype=torch.float64).T.to(self.device)

    def train_epoch(self, epoch: int) -> dict[Replica, Numbers]:
        """Train all replicas for one epoch, and return the mean of every term over its batches.

        A short batch counts in proportion to its images, so that every image has the same weight.
        """
        stage, local = self.lead.position(epoch)
        self.begin_epoch(stage, local)
        rate = stage.learning_rate(local)
        progress = torch.tensor(local / stage.epochs, device=self.device)
        batches = [replica.batches(stage.batch_size) for replica in self.replicas]
        counts = [len(of_replica) for of_replica in batches]
        last = stage.images_in_last_batch(len(self.lead.spec.train))
        means = _Means(counts, self.lead.module.watched, last / stage.batch_size)
        for step, indices in enumerate(pad_sequence(batches).to(self.device)):
            active = sum(count > step for count in counts)
            size = last if step == counts[0] - 1 else stage.batch_size
            terms = self.update(stage, indices[:active, :size], progress, rate)
            means.add(terms, size / stage.batch_size)
        for replica, steps in zip(self.replicas, means.steps(), strict=True):
            replica.append_steps(replica.steps_before(epoch), steps)
        return dict(zip(self.replicas, means.overall(), strict=True))

    def begin_epoch(self, stage: Stage, local: int) -> None:
        """Prepare an epoch of a stage for all replicas, as `Replica.begin_epoch`."""
        for replica in self.replicas:
            replica.begin_epoch(stage, local)
        self.lead.set_mode(stage)

    def update(
        self, stage: Stage, indices: Tensor, progress: Tensor, rate: float
    ) -> dict[Metric, Tensor]:
        """Train every phase for one step; of a simultaneous stage, all from the same parameters.

        Args:
            stage: the stage.
            indices: the indices of the images, shape (rows, batch), one row for each of the first
                replicas.
            progress: the fraction of the stage's epochs that are finished, a scalar.
            rate: the learning rate.

        Returns:
            the batch means of the terms of each phase, detached, shape (rows,).
        """
        images = self.pick(indices)
        means: dict[Metric, Tensor] = {}
        together = [stage.phases] if stage.simultaneous else [(phase,) for phase in stage.phases]
        for phases in together:
            computed = [self.differentiate(stage, phase, images) for phase in phases]
            for phase, (gradients, terms) in zip(phases, computed, strict=True):
                states = [r.optimisers[phase.name] for r in self.replicas[: len(indices)]]
                adam_step(states, gradients, stage.adam, rate)
                self.models.after_step(stage.name, phase.name, terms, progress)
                for name, value in terms.items():
                    means[self.lead.metric(stage, phase, name)] = value.mean(1)
        return means

    def differentiate(
        self, stage: Stage, phase: Phase, images: Tensor
    ) -> tuple[list[Gradients], Terms]:
        """The gradients of the loss of a phase, and its terms.

        Args:
            stage: the stage.
            phase: one of its phases.
            images: the images of each replica, shape (batch, rows, c, h, w).

        Returns:
            by replica, the gradient of each parameter that the phase trains; and the terms,
            detached, shape (rows, batch).

        Raises:
            UserError: if the loss depends on nothing that the phase trains.
        """
        batch, rows = images.shape[:2]
        replicas = self.replicas[:rows]
        noise = {
            name: torch.stack([shape.draw(replica.noise) for replica in replicas])
            for name, shape in self.lead.module.noise(phase.name, batch).items()
        }
        leaves = self.models.leaves(rows)
        kept = running_statistics_kept(map(self.lead.module.get_submodule, stage.untracked(phase)))
        with kept, computed_in(self.lead.precision, self.device):
            loss, terms = self.models.loss_and_terms(leaves, phase.name, images, noise)
        trained = [leaves[name] for name in self.lead.trained(phase)]
        gradients: Gradients = ()
        if trained and loss.requires_grad:
            gradients = torch.autograd.grad(loss.sum(), trained, allow_unused=True)
        if all(gradient is None for gradient in gradients):
            raise UserError(
                f"{type(self.lead.module).__name__}: the loss of the phase {phase.name!r} depends "
                f"on no parameter of what it trains ({', '.join(phase.modules) or 'nothing'}); "
                "compute it from these modules, or name others in the Phase"
            )
        by_parameter = layout.like(gradients, trained)
        detached = {name: values.detach() for name, values in terms.items()}
        return self.models.by_replica(by_parameter, rows), detached

    @torch.no_grad()
    def score(
        self,
        wanted: Mapping[Replica, Tensor],
        every_variant: bool,
        statistics: Mapping[Replica, Terms],
    ) -> dict[Replica, Terms]:
        """Scores and their components, as in `Replica.score`, of all replicas at once.

        Args:
            wanted: the indices of the images of each replica, shape (n,); n may differ.
            every_variant: whether to score with every value of the score space, too.
            statistics: the image statistics that the detector declares, each of shape (n,).

        Raises:
            DegenerateInputError: if `finish` fails for a replica.
        """
        for replica in self.replicas:
            replica.prepare_scoring()
        self.lead.module.eval()
        noise = {
            name: torch.stack([replica.score_noise[name] for replica in self.replicas])
            for name in self.lead.score_noise
        }
        indices = pad_sequence([wanted[r] for r in self.replicas], batch_first=True)
        known = {
            name: pad_sequence([statistics[r][name] for r in self.replicas], batch_first=True)
            for name in self.lead.module.image_statistics
        }
        size = self.lead.scored_at_once(len(self.replicas))
        space = self.lead.score_space if every_variant else {}
        scored = []
        for start in range(0, indices.shape[1], size):
            chunk = slice(start, start + size)
            of_images = {name: rows[:, chunk].to(self.device) for name, rows in known.items()}
            images = self.pick(indices[:, chunk].to(self.device))
            scored.append(self.models.score_variants(images, noise | of_images, space))
        joined = {n: torch.cat([terms[n] for terms in scored], 1).double() for n in scored[0]}
        return {
            replica: {name: rows[k, : len(wanted[replica])] for name, rows in joined.items()}
            for k, replica in enumerate(self.replicas)
        }

    def pick(self, indices: Tensor) -> Tensor:
        """The images of each replica, in channels-last memory format: (batch, rows, c, h, w).

        Args:
            indices: their indices, shape (rows, batch).
        """
        images = self.lead.images[indices.T]
        if self.ranges is not None:
            low, span = (t[: len(indices), None, None, None].to(images) for t in self.ranges)
            images = (images - low) / span
        folded = images.flatten(1, 2).contiguous(memory_format=torch.channels_last)
        picked: Tensor = folded.unflatten(1, (len(indices), -1))
        return picked


class _Means:
    """The means of the terms of an epoch, kept on the device until it has ended.

    Args:
        counts: the number of batches of each replica, in descending order.
        watched: the terms of which the mean of every batch is kept.
        share: the number of images in the last batch, divided by the batch size; in (0, 1].
    """

    def __init__(self, counts: Sequence[int], watched: Collection[str], share: float) -> None:
        self.counts, self.watched, self.share = counts, watched, share
        self.totals: dict[Metric, Tensor] = {}
        self.batches: dict[str, list[Tensor]] = {}

    def add(self, means: dict[Metric, Tensor], weight: float) -> None:
        """Add the means of one batch of the first replicas, each of shape (rows,).

        Args:
            means: the means of every term.
            weight: the number of images in the batch divided by the batch size.
        """
        for metric, values in means.items():
            if metric not in self.totals:
                self.totals[metric] = values.new_zeros(len(self.counts))
            self.totals[metric][: len(values)].add_(values, alpha=weight)
            if metric.term in self.watched:
                self.batches.setdefault(metric.term, []).append(values)

    def overall(self) -> list[Numbers]:
        """By replica: the mean of every term over its batches, weighted by their images."""
        totals = torch.stack([total.double() for total in self.totals.values()], 1).tolist()
        weights = [count - 1 + self.share for count in self.counts]
        return [
            {metric: total / weight for metric, total in zip(self.totals, of_replica, strict=True)}
            for of_replica, weight in zip(totals, weights, strict=True)
        ]

    def steps(self) -> list[dict[str, list[float]]]:
        """By replica: the mean of every batch of the terms that are watched, by term."""
        padded = {
            term: pad_sequence(values, batch_first=True).T.tolist()
            for term, values in self.batches.items()
        }
        return [
            {term: rows[k][:count] for term, rows in padded.items()}
            for k, count in enumerate(self.counts)
        ]
