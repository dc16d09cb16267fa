"""The job as a process of the worker, in a virtual environment of its own."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import BaseOperator, Context

from .deployment import DEPLOYMENT
from .outcomes import Summary, failure, push, read

FLAGS: tuple[str, ...] = ()


class ScorerProcess(BaseOperator):
    """Runs one `scorer` command and returns its summary."""

    template_fields = ("environment",)

    def __init__(self, *, arguments: Sequence[str], environment: Mapping[str, str], **options: Any) -> None:
        """`arguments` follow the word scorer; `environment` is added to the worker's own and may hold templates."""
        super().__init__(**options)
        self.arguments = arguments
        self.environment = environment
        self.hook = SubprocessHook()

    def execute(self, context: Context) -> Summary:
        """Raises what `failure` makes of the exit code."""
        with TemporaryDirectory(prefix="scorer-") as folder:
            place = Path(folder, "summary.json")
            command = [*shlex.split(DEPLOYMENT.command), *self.arguments, f"--summary={place}"]
            result = self.hook.run_command(command, env={**os.environ, **self.environment})
            summary = read(place)
        if result.exit_code == 0:
            return summary
        push(context, summary)
        raise failure(result.exit_code, summary.get("error") or result.output)

    def on_kill(self) -> None:
        """SIGTERM: the job finishes its unit in hand, keeps what is finished, and ends with 75."""
        self.hook.send_sigterm()


def expand(commands: Any, environment: Mapping[str, str], **options: Any) -> Any:
    """One task for each list of arguments."""
    name = "{{ task.arguments[1] }}"
    return ScorerProcess.partial(map_index_template=name, environment=environment, **options).expand(arguments=commands)
