# SPDX-License-Identifier: Apache-2.0
"""`backout audit key`."""

from __future__ import annotations

import click

from backout.cli.options import Command
from backout.cli.session import open_session


@click.command("key", cls=Command)
def command() -> None:
    """Prints your public key: who verifies what you signed names it with --key, or under audit.signers."""
    from backout.app.audit.book import own_key
    from backout.cli.render.audit import show_key
    from backout.documents.auditing import AuditKey

    session = open_session()
    public, fingerprint, file = own_key(session.workspace)
    if session.text:
        session.show(lambda screen: show_key(screen, public, fingerprint, file))
    else:
        session.document(AuditKey(public=public, fingerprint=fingerprint, file=file))
