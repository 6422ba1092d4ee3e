# SPDX-License-Identifier: Apache-2.0
"""`backout twin`: embedded clusters on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from backout.cli.options import Group
from backout.cli.session import open_session, with_session
from backout.lab.embedded import embedded

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.documents.base import Document
    from kubetwin.process import Twin

_directory = click.option(
    "--directory", type=click.Path(file_okay=False, path_type=Path), help="Where they keep their files."
)


@click.group("twin", cls=Group)
def command() -> None:
    """Kubernetes clusters in one process on this machine: a real API for kubectl and helm, simulated pods.

    Pods start after a short delay and answer /-/ready and /metrics; an image tag such as 1.2-crash makes a container
    fail. Ingresses are served over HTTP on a loopback port that `twin status` shows.
    """


@command.command("up")
@click.option("--clusters", default=1, show_default=True, type=click.IntRange(1, 50), help="How many.")
@click.option("--keep", is_flag=True, help="Keep the state when they go down.")
@click.option(
    "--gitops", multiple=True, type=click.Choice(["argocd", "flux"]), help="With these controllers; can be repeated."
)
@_directory
@with_session
@embedded
async def up(session: Session, clusters: int, keep: bool, gitops: tuple[str, ...], directory: Path | None) -> None:
    """Starts clusters, with a kubeconfig of contexts cluster-01, cluster-02, …"""
    from backout.app.programs import program
    from kubetwin import process

    tools = ("git", "helm", "kubectl") if gitops else ()
    programs = {name: str(await program(name, session.note)) for name in tools}
    where, names = directory or process.default_directory(), process.cluster_names(clusters)
    twin = process.up(where, names, keep=keep, gitops=tuple(dict.fromkeys(gitops)), programs=programs)
    if not session.text:
        session.document(_document(twin))
        return
    screen = session.screen()
    screen.told("{count} clusters are up: {names}", count=len(twin.clusters), names=", ".join(twin.clusters))
    screen.told("Use them with: export KUBECONFIG={file}", file=str(twin.kubeconfig))
    screen.show()


@command.command("down")
@_directory
@embedded
def down(directory: Path | None) -> None:
    """Ends them. Their state goes too, unless they were started with --keep."""
    from kubetwin import process

    session = open_session()
    where = directory or process.default_directory()
    process.down(where)
    if session.text:
        session.note("The embedded clusters are down.")
    else:
        from backout.documents.machine import Twin as TwinDocument

        session.document(TwinDocument(directory=str(where), up=False))


@command.command("status")
@_directory
@embedded
def status(directory: Path | None) -> None:
    """Says which clusters are up, and where their kubeconfig is."""
    from kubetwin import process

    session = open_session()
    twin = process.get(directory or process.default_directory())
    if not session.text:
        session.document(_document(twin))
        return
    screen = session.screen()
    screen.told("{count} clusters are up: {names}", count=len(twin.clusters), names=", ".join(twin.clusters))
    screen.line(f"kubeconfig  {twin.kubeconfig}", 2)
    screen.line(f"pid         {twin.pid}", 2)
    for cluster, port in twin.ingress.items():
        screen.line(f"ingress     {cluster} http://127.0.0.1:{port}", 2)
    for cluster, url in twin.argocd.items():
        screen.line(f"argocd      {cluster} {url} {twin.argocd_token(cluster)}", 2)
    screen.show()


def _document(twin: Twin) -> Document:
    from backout.documents.machine import Twin as TwinDocument

    return TwinDocument(
        directory=str(twin.directory),
        up=True,
        pid=twin.pid,
        clusters=tuple(twin.clusters),
        kubeconfig=str(twin.kubeconfig),
        keep=twin.keep,
        ingress=twin.ingress,
        argocd=twin.argocd,
    )


@command.command("break")
@click.argument("workload")
@click.argument("fault", required=False, default="")
@click.option("--container", default="", help="Only this container.")
@click.option("--mend", is_flag=True, help="Take the fault away again.")
@_directory
@with_session
@embedded
async def break_(
    session: Session, workload: str, fault: str, container: str, mend: bool, directory: Path | None
) -> None:
    """Makes the running pods of WORKLOAD (kind/name) fail: crash-exit3, oom, missing, unready, slow20s, nokey.

    The workload itself is not changed. The cluster is that of --context (else the first), the namespace that of -n.
    """
    from backout.errors import UsageError
    from kubetwin import process
    from kubetwin.breaking import break_workload, mend_workload
    from kubetwin.client import Api
    from kubetwin.transport import HttpTransport

    if not fault and not mend:
        raise UsageError("What is to go wrong?", expected="backout twin break {workload} crash", workload=workload)
    twin = process.get(directory or process.default_directory())
    context = (session.options.contexts or ("",))[0] or twin.clusters[0]
    if context not in twin.clusters:
        raise UsageError("{context} is no embedded cluster.", context=context, expected=", ".join(twin.clusters))
    namespace = session.options.namespace or "default"
    api = Api(HttpTransport.from_kubeconfig(twin.kubeconfig, context), user_agent="backout-twin")
    try:
        if mend:
            await mend_workload(api, workload, namespace)
        else:
            await break_workload(api, fault, workload, namespace, container)
    finally:
        await api.close()
    if not session.text:
        from backout.documents.machine import TwinFault

        session.document(TwinFault(cluster=context, namespace=namespace, workload=workload, fault=fault))
        return
    if mend:
        session.note("{workload} on {context} is left alone again.", workload=workload, context=context)
    else:
        session.note(
            "{workload} on {context} now has the fault {fault}.", workload=workload, context=context, fault=fault
        )
