"""Cores and GPUs per trial, and the number of parallel trials, of a machine or a cluster."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tune_ad.app.command_line.options import Options
from tune_ad.errors import UserError
from tune_ad.execution.gpu_share import GpuDemand, gpu_share
from tune_ad.execution.machine import Machine, this_machine
from tune_ad.wording import count


def machine_for(options: Options, say: Callable[[str], None]) -> Machine:
    """The machine that runs the trials: this one, or the Ray cluster at the address.

    Args:
        options: options of the run.
        say: prints a line for the user.

    Raises:
        UserError: if no cluster answers.
    """
    if options.address == "local":
        return this_machine()
    say(f"asking the Ray cluster at {options.address} for its nodes ...")
    from tune_ad.execution.ray.connection import remote_machine

    return remote_machine(options.address)


def resolve_device(options: Options, machine: Machine) -> Options:
    """The options with the device resolved; the number of GPUs stays None if it is to be decided.

    Raises:
        UserError: if a trial needs more than a node has, or two options contradict each other.
    """
    if options.cpus > machine.node_cpus:
        raise UserError(
            f"--cpus-per-trial {options.cpus}: no node has more than "
            f"{count(machine.node_cpus, 'core')}; "
            "use a smaller number"
        )
    if options.gpus is not None:
        _check_gpus(options.gpus, options.device, machine)
    if options.device == "cuda" and not machine.gpus:
        raise UserError("--device cuda: there is no GPU; use --device cpu")
    uses_gpu = options.device == "cuda" or (options.device == "auto" and machine.gpus > 0)
    if options.gpus is None:
        return replace(options, device="cuda" if uses_gpu else "cpu", gpus=None if uses_gpu else 0)
    return replace(options, device="cuda" if options.gpus else "cpu")


def resolve_gpus(
    options: Options,
    machine: Machine,
    stored: Mapping[str, Any] | None,
    demand: Callable[[], GpuDemand | None],
) -> tuple[Options, str]:
    """The options with the number of GPUs per trial, and a line that says why; "" if it was given.

    Args:
        options: options with the device resolved.
        machine: machine or cluster that runs the trials.
        stored: the resources with which the study was begun; None for a new study.
        demand: a function that estimates what the trials need; its result is None if the GPUs
            cannot be asked from this machine.

    Raises:
        UserError: if the largest configuration needs more memory than a GPU has.
    """
    if options.gpus is not None:
        return options, ""
    before = (stored or {}).get("gpus") or 0.0
    if 0 < before <= machine.node_gpus:
        return replace(options, gpus=before), f"GPUs per trial: {before:g}, as in the first run"
    concurrent = 1 if options.backend == "serial" else options.concurrent
    share = gpu_share(demand(), machine, options.cpus, concurrent)
    line = f"GPUs per trial: {share.gpus:g}, because {share.reason}"
    return replace(options, gpus=share.gpus), line


def check_concurrent(options: Options, machine: Machine) -> None:
    """Check that the machine has room for the given number of parallel trials.

    Args:
        options: options with device and GPUs resolved.
        machine: machine or cluster that runs the trials.

    Raises:
        UserError: if it has room for fewer, or no node for a trial.
    """
    gpus = options.gpus or 0.0
    if not machine.fits(options.cpus, gpus):
        raise UserError(
            f"--cpus-per-trial {options.cpus}: no node has both {count(options.cpus, 'core')} and "
            f"{gpus:g} GPU; use fewer cores, or --device cpu"
        )
    most = machine.slots(options.cpus, gpus)
    if options.concurrent is None or options.concurrent <= most:
        return
    needs = f"{options.cpus} of {count(machine.cpus, 'core')}"
    if gpus:
        needs += f" and {gpus:g} of {count(machine.gpus, 'GPU')}"
    if len(machine.nodes) > 1:
        needs += f" on {count(len(machine.nodes), 'node')}"
    raise UserError(
        f"--concurrent {options.concurrent}: a trial uses {needs}, so at most {most} can run in "
        "parallel; use a smaller number, or leave the option out"
    )


def trials_at_a_time(options: Options, machine: Machine) -> int:
    """The number of parallel trials, once the options are resolved."""
    if options.backend == "serial":
        return 1
    if options.concurrent is not None:
        return options.concurrent
    return machine.slots(options.cpus, options.gpus or 0.0)


def _check_gpus(gpus: float, device: str, machine: Machine) -> None:
    """Check that a node has the number of GPUs per trial, and that it suits the device.

    Raises:
        UserError: with the option and its value.
    """
    if gpus > 0 and not machine.gpus:
        raise UserError(
            f"--gpus-per-trial {gpus:g}: there is no GPU; leave the option out, or use a cluster "
            "with --address"
        )
    if gpus > machine.node_gpus:
        raise UserError(
            f"--gpus-per-trial {gpus:g}: no node has more than "
            f"{count(machine.node_gpus, 'GPU')}; use a "
            "smaller number, or a cluster with --address"
        )
    if gpus > 1 and gpus != int(gpus):
        raise UserError(f"--gpus-per-trial {gpus:g}: above 1 it must be a whole number")
    if device != "auto" and (device == "cuda") != (gpus > 0):
        raise UserError(
            f"--device {device} contradicts --gpus-per-trial {gpus:g}; leave one of them out"
        )
