"""A process that has imported what commands need, and runs each of them in a fork of itself.

Importing torch, DeepSpeed and the exporters takes longer than all else that a command does on a
tiny run.

    python warm_process.py serve SOCKET                 prints "ready", then serves
    python -I -S warm_process.py SOCKET sesame ARG ...  runs `sesame ARG ...` there, in this folder
    python -I -S warm_process.py SOCKET python -c TEXT  runs a program there
"""

import array
import importlib
import json
import os
import socket
import sys
import traceback

_IMPORTS = (
    "nvidia.dali.fn",
    "onnx.reference",
    "onnxruntime",
    "onnxscript",
    "torch._dynamo",
    "torch.utils.flop_counter",
    "sesame_hpc.cli.main",
    "sesame_hpc.inference.export",
    "sesame_hpc.stages.finetune",
    "sesame_hpc.stages.pretrain",
)


def serve(address: str) -> None:
    """Answer requests one after the other until the process is ended."""
    importlib.import_module("sesame_hpc.process").set_process_defaults()
    for name in _IMPORTS:
        importlib.import_module(name)
    torch = importlib.import_module("torch")
    importlib.import_module("sesame_hpc.training.engine")._import_deepspeed(torch.device("cpu"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                _answer(connection)


def _answer(connection: socket.socket) -> None:
    message, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    request = json.loads(message)
    child = os.fork()
    if child == 0:
        _become(request, streams)
    for stream in streams:
        os.close(stream)
    _, status = os.waitpid(child, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _become(request: dict, streams: list[int]) -> None:
    """Run the command as this process; does not return."""
    code = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        code = _run(request["arguments"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(arguments: list[str]) -> int:
    sys.argv = arguments
    try:
        if arguments[0] == "sesame":
            from sesame_hpc.cli.main import main

            main()
        else:
            exec(compile(arguments[2], "<block>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def ask(address: str, arguments: list[str]) -> int:
    """The exit code of the command, run there with this process's folder and streams."""
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(address)
        streams = array.array("i", [0, 1, 2])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)]
        connection.sendmsg([json.dumps(request).encode()], rights)
        return int(connection.recv(16) or b"1")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
