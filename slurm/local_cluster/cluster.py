#!/usr/bin/env python3
"""A real SLURM on one machine, for tests and for trying things out. Needs no other package.

python slurm/local_cluster/cluster.py start DIR
eval "$(python slurm/local_cluster/cluster.py env DIR)"
sinfo
python slurm/local_cluster/cluster.py stop DIR
"""

import argparse
import os
import pwd
import shlex
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import daemons
from configuration import write_configuration
from failing_nodes import (
    CONTROLLER,
    fail_controller,
    fail_node,
    restore_controller,
    restore_node,
)
from folder import Cluster, Settings, load, prepare, remove
from processes import running
from programs import missing_packages

_Command = Callable[[argparse.Namespace], int]


def _start(arguments: argparse.Namespace) -> int:
    settings = Settings(**{each.name: getattr(arguments, each.name) for each in fields(Settings)})
    _check_machine(settings)
    if (arguments.folder / "cluster.json").exists():
        earlier = load(arguments.folder)
        if daemons.is_up(earlier):
            raise ValueError(f"a cluster is running in {earlier.folder}; stop it first")
        daemons.stop(earlier)
    cluster = prepare(arguments.folder, settings)
    write_configuration(cluster)
    try:
        daemons.start(cluster)
    except BaseException:
        daemons.stop(cluster)
        raise
    _introduce(cluster)
    return 0


def _check_machine(settings: Settings) -> None:
    if missing := missing_packages(settings.accounting):
        raise FileNotFoundError(
            "SLURM is not complete on this machine. On Debian or Ubuntu, as root:\n"
            f"  apt-get install --no-install-recommends {' '.join(missing)}"
        )
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        raise ValueError(
            f"user {os.getuid()} has no entry in /etc/passwd, which SLURM needs"
        ) from None


def _introduce(cluster: Cluster) -> None:
    settings = cluster.settings
    partitions = "main (the default), low, scavenger and high" if settings.preemption else "main"
    if settings.sleeping:
        partitions += f"; cloud, whose {settings.sleeping} nodes never start"
    command = f"python {shlex.quote(min(__file__, os.path.relpath(__file__), key=len))}"
    folder = shlex.quote(str(cluster.folder))
    print(f"SLURM is up in {cluster.folder}: nodes {', '.join(settings.node_names)},")
    print(f"each with {settings.cpus} CPUs and {settings.gpus} virtual GPUs; ", end="")
    print(f"partitions: {partitions}.")
    if cluster.state != cluster.folder:
        print(f"SLURM does not support that name: the files are in {cluster.state}.")
    print(f'  use it:   eval "$({command} env {folder})"')
    print(f"  stop it:  {command} stop {folder}")


def _stop(arguments: argparse.Namespace) -> int:
    cluster = load(arguments.folder)
    daemons.stop(cluster)
    if arguments.remove:
        remove(cluster)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    cluster = load(arguments.folder)
    if not cluster.processes:
        print("stopped")
        return 1
    for process in cluster.processes:
        print(f"{process.name:10} {'running' if running(process) else 'gone':8} {process.pid}")
    for command in (("sinfo", "--Node", "--long"), ("squeue",)):
        answer = daemons.ask(cluster, *command)
        print(answer.stdout or answer.stderr, end="")
    return 0 if daemons.is_up(cluster) else 1


def _env(arguments: argparse.Namespace) -> int:
    print(f"export SLURM_CONF={shlex.quote(str(load(arguments.folder).slurm_conf))}")
    return 0


def _fail(arguments: argparse.Namespace) -> int:
    if arguments.node == CONTROLLER:
        fail_controller(load(arguments.folder))
    else:
        fail_node(load(arguments.folder), arguments.node, arguments.daemon_only)
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    if arguments.node == CONTROLLER:
        restore_controller(load(arguments.folder))
    else:
        restore_node(load(arguments.folder), arguments.node)
    return 0


def _count(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"{number} is below {least}")
        return number

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: _Command, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument("folder", metavar="DIR", type=lambda path: Path(path).resolve())
        added.set_defaults(run=run)
        return added

    _add_settings(command("start", _start, "start a cluster whose files all lie in DIR"))
    stop = command("stop", _stop, "cancel its jobs and end its daemons")
    stop.add_argument("--remove", action="store_true", help="and remove DIR with its logs")
    command("status", _status, "its daemons, nodes and jobs; exit code 1 unless all daemons run")
    command("env", _env, "print what the shell needs, for eval")
    fail = command("fail", _fail, "cut a node's power and wait until SLURM calls it down")
    fail.add_argument("node", metavar="NODE", help="or slurmctld, to crash the controller")
    fail.add_argument("--daemon-only", action="store_true", help="crash slurmd, leave its tasks")
    restore = command("restore", _restore, "switch a node on again")
    restore.add_argument("node", metavar="NODE", help="or slurmctld")
    return parser


def _add_settings(start: argparse.ArgumentParser) -> None:
    default = Settings()

    def number(name: str, least: int, text: str) -> None:
        start.add_argument(
            f"--{name.replace('_', '-')}",
            type=_count(least),
            default=getattr(default, name),
            metavar="N",
            help=f"{text} (%(default)s)",
        )

    number("nodes", 1, "nodes")
    number("gpus", 0, "virtual GPUs per node: only CUDA_VISIBLE_DEVICES is set")
    number("cpus", 1, "virtual CPUs per node")
    number("memory", 1, "virtual memory per node in MiB")
    number("grace", 0, "seconds between preemption and the kill")
    number("dead_after", 1, "seconds until a silent node counts as dead")
    number("max_array", 1, "tasks that a job array may have: MaxArraySize")
    number("sleeping", 0, "nodes in a partition cloud, for which jobs wait in vain")
    start.add_argument("--accounting", action="store_true", help="slurmdbd and mariadb, for sacct")
    start.add_argument(
        "--preemption",
        action="store_true",
        help="partitions low, scavenger (its jobs are cancelled, not requeued) and high",
    )


def main() -> int:
    arguments = _parser().parse_args()
    try:
        command: _Command = arguments.run
        return command(arguments)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
