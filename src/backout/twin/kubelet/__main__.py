# SPDX-License-Identifier: Apache-2.0
"""Simulated nodes for any control plane: ``python -m backout.twin.kubelet --kubeconfig FILE --context NAME``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys

from backout.twin.client import Api
from backout.twin.controllers.base import Context, Controller, ControllerSettings
from backout.twin.controllers.ingress import IngressController
from backout.twin.controllers.volumes import VolumeController
from backout.twin.informer import SharedInformers
from backout.twin.kubelet.agent import Kubelet
from backout.twin.kubelet.nodes import SimulatedNode
from backout.twin.kubelet.server import KubeletServer
from backout.twin.kubelet.settings import KubeletSettings
from backout.twin.transport import HttpTransport, KubeconfigError


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m backout.twin.kubelet", description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--context", help="default: the file's current context")
    parser.add_argument("--nodes", type=int, default=2, help="how many nodes to simulate (default 2)")
    parser.add_argument("--prefix", default="node-", help="nodes are called PREFIX1, PREFIX2, … (default node-)")
    parser.add_argument("--port", type=int, default=0, help="of the kubelet's endpoint (default: a free one)")
    parser.add_argument("--real-times", action="store_true", help="back-off and probes as slow as a real kubelet's")
    parser.add_argument("--volumes", action="store_true", help="also bind and provision volumes of the simulated class")
    parser.add_argument("--ingress", action="store_true", help="also serve Ingresses over HTTP on a loopback port")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args(argv)


async def _run(options: argparse.Namespace) -> None:
    transport = HttpTransport.from_kubeconfig(options.kubeconfig, options.context)
    api = Api(transport, user_agent="kubelet")
    informers = SharedInformers(api)
    base = KubeletSettings() if options.real_times else KubeletSettings.quick()
    # A real node lifecycle controller watches the leases.
    settings = _with_heartbeats(base)
    nodes = [SimulatedNode(f"{options.prefix}{i + 1}", i, "127.0.0.1") for i in range(options.nodes)]
    kubelet = Kubelet(api, nodes, settings, informers=informers)
    server = KubeletServer(kubelet)
    port = await server.start(options.port)
    for node in nodes:
        node.port = port
    context = Context(api, informers, ControllerSettings())
    controllers: list[Controller] = [VolumeController(context)] if options.volumes else []
    if options.ingress:
        controllers.append(IngressController(context, kubelet.network.request))
    informers.start()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(kubelet.run())
            for controller in controllers:
                group.create_task(controller.run())
            for recorder in context.recorders:
                group.create_task(recorder.run())
            await kubelet.keeper.registered.wait()
            sys.stdout.write(f"{len(nodes)} nodes registered at {transport.url}, kubelet on 127.0.0.1:{port}\n")
            sys.stdout.flush()
    finally:
        await informers.stop()
        await server.close()
        await transport.close()


def _with_heartbeats(settings: KubeletSettings) -> KubeletSettings:
    from dataclasses import replace

    return replace(settings, lease_interval=10.0, status_interval=300.0)


def main(argv: list[str] | None = None) -> int:
    options = _arguments(argv)
    logging.basicConfig(level=logging.DEBUG if options.verbose else logging.WARNING, format="%(name)s: %(message)s")

    async def until_signal() -> None:
        task = asyncio.ensure_future(_run(options))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    try:
        asyncio.run(until_signal())
    except KubeconfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
