"""``runsink serve`` that counts no metrics: the baseline of what counting costs. The product has no such option."""

from collections.abc import Sequence

from adapters.prometheus import Metrics
from core.ports.observer import Intake
from entrypoints.cli.commands.serve import serve
from entrypoints.http.middleware import Pipeline
from entrypoints.process import worker


class _Uncounted(Metrics):
    """Metrics that stay 0."""

    def note_request(self, method: str, route: str, status: int, seconds: float) -> None:
        pass

    def note_rejection(self, reason: str) -> None:
        pass

    def note_runs(self, intake: Intake, *, created: int, existing: int, failed: int) -> None:
        pass

    def note_commit(self, commands: int, waited: float, seconds: float) -> None:
        pass

    def note_checkpoint(self, seconds: float, *, complete: bool) -> None:
        pass


def serve_unwatched(options: Sequence[str]) -> None:
    """Serve with these options until SIGTERM."""
    worker.Metrics = _Uncounted  # type: ignore[misc]
    Pipeline._note = lambda *_: None  # type: ignore[method-assign]  # noqa: SLF001
    serve(args=list(options), prog_name="runsink serve")
