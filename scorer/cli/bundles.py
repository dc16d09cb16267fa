"""bundle inspect, sign, verify and mlflow."""

from pathlib import Path
from typing import Annotated

import typer

from scorer.cli.app import app, exit_code
from scorer.errors import SettingsError
from scorer.telemetry import hushed

bundle_app = typer.Typer(help="Look into a bundle, or prove that it is intact.", no_args_is_help=True)
app.add_typer(bundle_app, name="bundle")


@bundle_app.command("inspect")
def inspect(bundle: Annotated[str, typer.Argument(help="Folder or S3 prefix of the bundle.")]) -> None:
    """Print what a bundle holds. Digests are checked, nothing is run."""
    with exit_code():
        from scorer.model.bundle import load_bundle
        from scorer.model.description import describe
        from scorer.objectstore import ObjectStore

        typer.echo(describe(load_bundle(bundle, ObjectStore())))


@bundle_app.command()
def sign(
    bundle: Annotated[str, typer.Argument(help="Folder or S3 prefix of the bundle.")],
    key: Annotated[Path, typer.Option(help="File with an Ed25519 private key, PEM, as `openssl genpkey` makes it.")],
) -> None:
    """Vouch for a bundle: jobs whose bundle_key is the key's public half score by no other."""
    with exit_code():
        from scorer.model import signature
        from scorer.model.bundle import load_bundle
        from scorer.objectstore import ObjectStore

        try:
            private_key = key.read_bytes()
        except OSError as error:
            raise SettingsError(f"The key {key} cannot be read: {error.strerror}. Nothing was signed.") from None
        loaded = load_bundle(bundle, ObjectStore())
        signature.sign(loaded.uri, loaded.digest, private_key, ObjectStore())
        typer.echo(f"Signed {loaded.name} {loaded.version} ({loaded.digest}).")


@bundle_app.command()
def verify(
    bundle: Annotated[str, typer.Argument(help="Folder or S3 prefix of the bundle.")],
    golden: Annotated[bool, typer.Option("--golden", help="Load the graphs and score the golden rows too.")] = False,
) -> None:
    """Check every file against its digest. With --golden, prove that the bundle scores here as where it was made."""
    with exit_code():
        from scorer.model.bundle import load_bundle
        from scorer.objectstore import ObjectStore

        if golden:
            with hushed():
                from scorer.model.predictor import verify_bundle
            typer.echo(verify_bundle(bundle, ObjectStore()))
            return
        loaded = load_bundle(bundle, ObjectStore())
        files = len(loaded.digests.files)
        typer.echo(f"{loaded.name} {loaded.version} is intact: {files} files are as they were saved ({loaded.digest}).")


@bundle_app.command()
def mlflow(
    bundle: Annotated[str, typer.Argument(help="Folder or S3 prefix of the bundle.")],
    folder: Annotated[str, typer.Argument(help="A new folder or S3 prefix for the model.")],
) -> None:
    """Write a bundle as a model of MLflow's: MLmodel with a signature, loaded by pyfunc through our own predictor."""
    with exit_code():
        from scorer.model.bundle import load_bundle
        from scorer.objectstore import ObjectStore
        from scorer.run.mlflow.folder import write_folder

        loaded = load_bundle(bundle, ObjectStore())
        files = write_folder(loaded, folder, ObjectStore())
        typer.echo(f"{loaded.name} {loaded.version} is at {folder} as a model of MLflow's ({len(files)} files).")
