"""`holdfast enrol`: its words."""

from pathlib import Path

import click

from gateway.core.errors import HoldfastError

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("enrol")
@click.argument("code")
@click.option("--hub", required=True, help="The hub's address, as https://hub.example.")
@click.option("--config", "site", type=FILE, required=True, help="The site's configuration, site.yaml.")
@click.option("--tls-ca", type=FILE, help="Certificates that the hub's is signed by; the system's if not given.")
@click.option("--tls-fingerprint", help="SHA-256 of the hub's certificate: this one and no other.")
@click.option("--proxy", help="An HTTP proxy, http://HOST:PORT.")
@click.option("--ssh-key", type=FILE, help="This machine's SSH public key, for the hub to keep.")
@click.option("--again", is_flag=True, help="Also where the gateway has a hub already.")
def enrol(
    code: str, hub: str, site: Path, tls_ca: Path | None, tls_fingerprint: str | None, proxy: str | None,
    ssh_key: Path | None, again: bool,
) -> None:  # fmt: skip
    """Bring this gateway to a hub with CODE, a claim code that the hub's page Enrol has made.

    Run it as the user that the gateway runs as. The same again does no harm, and helps where no answer came.
    """
    from gateway.controlsocket import ask
    from gateway.enrolling import Asked, enrol_here

    click.echo(f"asking {hub} ...")
    done = enrol_here(site, Asked(code, hub, tls_ca, tls_fingerprint, proxy, ssh_key, again))
    click.echo(f"this gateway is node {done.node} of the hub now, at the site {done.site}")
    click.echo(f"  written: {done.file}{' (readings go by the broker, else by HTTPS)' if done.amqp else ''}")
    for note in done.notes:
        click.echo(f"  note: {note}")
    try:
        running = ask(site, "GET", "/api/v1/state") is not None
    except HoldfastError:  # it runs, and is busy, or another user's
        running = True
    if running:
        click.echo("The running gateway takes it within seconds; see: holdfast sync status --config " + str(site))
    else:
        click.echo(f"Next: holdfast run --config {site}, or start its service")
