# SPDX-License-Identifier: Apache-2.0
"""`backout doctor`: is everything there that a rollback needs?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.cli.views.page import Page

REFUSED = 5


@click.command("doctor")
@click.argument("targets", nargs=-1)
@click.option("--install", is_flag=True, help="Install a pinned helm and kubectl where there is none.")
@common_options
@with_session
async def command(session: Session, targets: tuple[str, ...], install: bool) -> int:
    """Checks tools and versions, the state database, the cluster, and the rights for every verb of a plan.

    With TARGETS, the rights of their plans are asked for; without, those of a Helm or workload rollback in the
    namespace. Missing rights are printed as a Role to apply. Exit code 5 when something is missing.
    """
    from backout.cli.examination import as_document, examine

    findings = await examine(session, targets, install=install)
    if session.text:
        _show(session, findings)
    else:
        from backout.cli.output import versioned

        session.document(versioned("Doctor", **as_document(findings)))
    return 0 if findings["ok"] else REFUSED


def _show(session: Session, findings: dict[str, Any]) -> None:
    from backout.cli.output import to_yaml
    from backout.cli.views.page import paint

    page = session.page()
    for check in findings["checks"]:
        page.line(f"{page.mark('good' if check['ok'] else 'bad')} {check['name']:<18} {_detail(page, check)}")
        if check.get("hint"):
            page.line(paint(page.say(check["hint"]), "dim"), 21)
    if findings["roles"]:
        page.line()
        page.told("Rights are missing. Somebody who may grant them applies this:")
        page.line("---\n".join(to_yaml(role) for role in findings["roles"]).rstrip())
    page.show()


def _detail(page: Page, check: dict[str, Any]) -> str:
    said = page.say(check["detail"])
    return f"{said} ({check['code']})" if "code" in check else said
