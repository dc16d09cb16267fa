"""bundle create, inspect, sign, verify and mlflow."""

from pathlib import Path
from typing import Annotated, Any

import typer

from scorer.cli.app import EXIT_CODES, app, exit_code
from scorer.cli.options import File, Set, named, plain_store
from scorer.errors import SettingsError
from scorer.settings import CreateJob, load
from scorer.telemetry import hushed

bundle_app = typer.Typer(
    help="Make a bundle of your own model; look into one, prove it, vouch for it.", no_args_is_help=True
)
app.add_typer(bundle_app, name="bundle")


@bundle_app.command(epilog=EXIT_CODES)
def create(
    model: Annotated[str | None, typer.Option(help="The .keras file of a functional or sequential model.")] = None,
    bundle: Annotated[str | None, typer.Option(help="Folder or S3 prefix to write the bundle to.")] = None,
    target: Annotated[str | None, typer.Option(help="The column that the model predicts.")] = None,
    features: Annotated[
        str | None, typer.Option(help="Feature columns in the model's order, with commas; or a .json file.")
    ] = None,
    scaler: Annotated[str | None, typer.Option(help="Fitted scaler of the numbers, .skops or .json.")] = None,
    target_transform: Annotated[str | None, typer.Option(help="identity, log or log1p.")] = None,
    target_scaler: Annotated[str | None, typer.Option(help="Fitted scaler of the target, .skops or .json.")] = None,
    size: Annotated[str | None, typer.Option(help="Side of the images.  [default: the model's]")] = None,
    resize: Annotated[str | None, typer.Option(help="nearest, bilinear, area, pillow-bilinear, ...")] = None,
    scale: Annotated[str | None, typer.Option(help="none, 0..1, -1..1, imagenet or caffe.")] = None,
    max_images: Annotated[str | None, typer.Option(help="For a model of any number of images.")] = None,
    examples: Annotated[str | None, typer.Option(help="Listings with images to try it on.  [default: made up]")] = None,
    partition: Annotated[str | None, typer.Option(help="Which partition of the examples.")] = None,
    outputs: Annotated[str | None, typer.Option(help="Names of the scores in the model's order, with commas.")] = None,
    job: File = None,
    settings: Set = None,
) -> None:
    """Make a bundle of a model that was trained elsewhere: cut it where it can be cut, and prove it."""
    with exit_code():
        flags: dict[str, Any] = named(
            settings,
            model=model,
            bundle=bundle,
            target=target,
            features=features,
            scaler=scaler,
            target_transform=target_transform,
            target_scaler=target_scaler,
            size=size,
            resize=resize,
            scale=scale,
            max_images=max_images,
            examples=examples,
            partition=partition,
            outputs=outputs.split(",") if outputs else None,
        )
        wanted = load(CreateJob, file=job, flags=flags)
        with hushed():
            from scorer.adopt.create import create as run

        typer.echo(str(run(wanted, plain_store(), lambda line: typer.echo(line, err=True))))


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
            from scorer.model.tensorflow_alone import tensorflow_alone

            with tensorflow_alone():
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
