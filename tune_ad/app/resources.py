"""What each trial gets of the machine, or of the cluster, on which the study runs."""

from dataclasses import replace

from tune_ad.app.options import Options
from tune_ad.errors import UserError
from tune_ad.execution.machine import Machine, this_machine

GPUS_PER_TRIAL = 0.25  # where there is a GPU: the networks are small


def machine_for(options: Options) -> Machine:
    """The machine on which trials run: this one, or the Ray cluster at the address.

    Raises:
        UserError: if a cluster is asked for without Ray, or none answers.
    """
    if options.address == "local":
        return this_machine()
    if options.backend == "serial":
        raise UserError("--address needs Ray; leave it out, or leave out --backend serial")
    from tune_ad.execution.ray.runner import remote_machine

    return remote_machine(options.address)


def resolve_device(options: Options, machine: Machine) -> Options:
    """The options with the device and the GPUs of each trial that the machine has.

    Raises:
        UserError: if a trial wants more than a node has, or the options contradict each other.
    """
    if options.cpus > machine.node_cpus:
        raise UserError(
            f"--cpus-per-trial {options.cpus}: no node has more than {machine.node_cpus} cores; "
            "lower it"
        )
    if options.gpus is not None:
        _check_gpus(options.gpus, options.device, machine)
    if options.device == "cuda" and not machine.gpus:
        raise UserError("--device cuda: there is no GPU; use --device cpu")
    uses_gpu = options.device == "cuda" or (options.device == "auto" and machine.gpus > 0)
    gpus = options.gpus
    if gpus is None:
        gpus = GPUS_PER_TRIAL if uses_gpu else 0.0
    return replace(options, device="cuda" if gpus else "cpu", gpus=gpus)


def trials_at_a_time(options: Options, machine: Machine) -> int:
    """How many trials run at a time, once the options are resolved."""
    if options.backend == "serial":
        return 1
    if options.concurrent is not None:
        return options.concurrent
    return machine.slots(options.cpus, options.gpus or 0.0)


def _check_gpus(gpus: float, device: str, machine: Machine) -> None:
    """Refuse a number of GPUs per trial that no node has, or that contradicts the device.

    Raises:
        UserError: naming the option.
    """
    if gpus > machine.node_gpus:
        raise UserError(
            f"--gpus-per-trial {gpus:g}: no node has more than {machine.node_gpus} GPUs; lower "
            "it, or name a cluster with --address"
        )
    if gpus > 1 and gpus != int(gpus):
        raise UserError(f"--gpus-per-trial {gpus:g}: above 1 it must be a whole number")
    if device != "auto" and (device == "cuda") != (gpus > 0):
        raise UserError(
            f"--device {device} contradicts --gpus-per-trial {gpus:g}; leave one of them out"
        )
