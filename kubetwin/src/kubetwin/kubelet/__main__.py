# SPDX-License-Identifier: Apache-2.0
"""Simulated nodes for any control plane: ``python -m kubetwin.kubelet --kubeconfig FILE --context NAME``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from dataclasses import replace
from ipaddress import IPv4Network, collapse_addresses

from kubetwin.client import Api
from kubetwin.controllers.base import Context, Controller, ControllerSettings
from kubetwin.controllers.ingress import IngressController
from kubetwin.controllers.volumes import VolumeController
from kubetwin.informer import SharedInformers
from kubetwin.kubelet.agent import Kubelet
from kubetwin.kubelet.claims import VolumesError, volumes
from kubetwin.kubelet.nodes import SimulatedNode
from kubetwin.kubelet.server import KubeletServer
from kubetwin.kubelet.settings import KubeletSettings
from kubetwin.kubelet.sockets import NoSockets, claimed
from kubetwin.transport import HttpTransport, KubeconfigError

# ValidateNonSpecialIP (pkg/apis/core/validation) and, for the proxies, Go's IsGlobalUnicast.
_NO_ENDPOINTS = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")))
# 126 addresses: as many as a node may have pods, and some.
_SMALLEST_PREFIX = 25


class PodSocketsError(Exception):
    """Pods cannot listen where they were told to."""


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kubetwin.kubelet", description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--context", help="default: the file's current context")
    parser.add_argument("--nodes", type=int, default=2, help="how many nodes to simulate (default 2)")
    parser.add_argument("--prefix", default="node-", help="nodes are called PREFIX1, PREFIX2, … (default node-)")
    parser.add_argument("--port", type=int, default=0, help="of the kubelet's endpoint (default: a free one)")
    parser.add_argument("--real-times", action="store_true", help="back-off and probes as slow as a real kubelet's")
    parser.add_argument(
        "--volumes",
        choices=("auto", "on", "off"),
        nargs="?",
        const="on",
        default="auto",
        help="bind and provision volumes, without a disk behind them; auto (the default): unless all storage classes are "
        "other provisioners'; a cluster without any gets some",
    )
    parser.add_argument("--ingress", action="store_true", help="also serve Ingresses over HTTP on a loopback port")
    parser.add_argument(
        "--pod-sockets",
        choices=("auto", "on", "off"),
        default="auto",
        help="listen at the pods' addresses on the loopback interface, so that the API server can reach them; "
        "auto (the default): if the interface has these addresses; on: end with an error if it has not",
    )
    parser.add_argument(
        "--pod-cidr", type=_cidr, help="network of the pods, divided among the nodes (default: 10.244.0.0/16 and on)"
    )
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args(argv)


def _cidr(text: str) -> IPv4Network:
    """Raises argparse.ArgumentTypeError for what no API server takes as addresses of endpoints."""
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if any(network.overlaps(other) for other in _NO_ENDPOINTS):
        raise argparse.ArgumentTypeError(f"{text}: API servers take no such addresses for pods")
    return network


def _divided(network: IPv4Network, nodes: int) -> list[IPv4Network]:
    """Raises PodSocketsError when a node's part is too small."""
    prefix = network.prefixlen + (nodes - 1).bit_length()
    if prefix > _SMALLEST_PREFIX:
        raise PodSocketsError(f"{network} is too small for {nodes} nodes: each needs a /{_SMALLEST_PREFIX}")
    return list(network.subnets(new_prefix=prefix))[:nodes]


async def _may_listen(mode: str, nodes: list[SimulatedNode], held: contextlib.AsyncExitStack) -> tuple[bool, str]:
    """Whether pods can have sockets, and a sentence about it. Raises PodSocketsError when they must and cannot."""
    if mode == "off":
        return False, "pods have no sockets"
    networks = [node.pods for node in nodes]
    try:
        await held.enter_async_context(claimed(networks))
    except NoSockets as error:
        if mode == "on":
            wanted = " and ".join(f"ip route add local {network} dev lo" for network in collapse_addresses(networks))
            raise PodSocketsError(f"{error}\nOn Linux, root adds addresses: {wanted}") from None
        return False, f"pods have no sockets ({error})"
    return True, f"pods listen in {', '.join(str(network) for network in networks)}"


async def _run(options: argparse.Namespace) -> None:
    async with contextlib.AsyncExitStack() as held:
        await _attach(options, held)


async def _attach(options: argparse.Namespace, held: contextlib.AsyncExitStack) -> None:
    parts = _divided(options.pod_cidr, options.nodes) if options.pod_cidr else [None] * options.nodes
    nodes = [SimulatedNode(f"{options.prefix}{i + 1}", i, "127.0.0.1", pod_range=p) for i, p in enumerate(parts)]
    sockets, told = await _may_listen(options.pod_sockets, nodes, held)
    transport = HttpTransport.from_kubeconfig(options.kubeconfig, options.context)
    held.push_async_callback(transport.close)
    api = Api(transport, user_agent="kubelet")
    informers = SharedInformers(api)
    context = Context(api, informers, ControllerSettings())
    simulated, volumes_told = await volumes(api, options.volumes, context.settings.provisioners)
    base = KubeletSettings() if options.real_times else KubeletSettings.quick()
    # A real node lifecycle controller watches the leases; where none runs, nobody else takes its taints away.
    settings = replace(_with_heartbeats(base), pod_sockets=sockets, clear_taints=True)
    kubelet = Kubelet(api, nodes, settings, informers=informers)
    server = KubeletServer(kubelet)
    port = await server.start(options.port)
    held.push_async_callback(server.close)
    for node in nodes:
        node.port = port
    controllers: list[Controller] = [VolumeController(context)] if simulated else []
    if options.ingress:
        controllers.append(IngressController(context, kubelet.network.request))
    informers.start()
    held.push_async_callback(informers.stop)
    async with asyncio.TaskGroup() as group:
        group.create_task(kubelet.run())
        for controller in controllers:
            group.create_task(controller.run())
        for recorder in context.recorders:
            group.create_task(recorder.run())
        await kubelet.keeper.registered.wait()
        registered = f"{len(nodes)} nodes registered at {transport.url}, kubelet on 127.0.0.1:{port}"
        sys.stdout.write(f"{registered}\n{told}\n{volumes_told}\n")
        sys.stdout.flush()


def _with_heartbeats(settings: KubeletSettings) -> KubeletSettings:
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
    except (KubeconfigError, PodSocketsError, VolumesError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
