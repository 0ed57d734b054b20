"""The machine of ``test_machine`` on PostgreSQL."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import rule, run_state_machine_as_test

from entrypoints.databases import open_database
from tests.postgres import drop_schema, in_new_schema
from tests.properties.driver import InProcessDriver
from tests.properties.sharing_machine import SharingMachine


class PostgresMachine(SharingMachine):
    """On its own schema, which can be closed and reopened at any moment."""

    def __init__(self, server: str) -> None:
        self.url = in_new_schema(server)
        super().__init__()

    def _drive(self) -> InProcessDriver:
        return InProcessDriver(lambda: open_database(self.url))

    @rule()
    def reopen(self) -> None:
        """Closing and opening again changes nothing."""
        self.driver.reopen()

    def teardown(self) -> None:
        super().teardown()
        drop_schema(self.url)


def test_postgres_holds_what_the_model_holds(postgres_server: str) -> None:
    """Whatever is sent in any order, the database and a dictionary hold the same."""
    run_state_machine_as_test(
        lambda: PostgresMachine(postgres_server),
        settings=settings(max_examples=25, stateful_step_count=20, suppress_health_check=[HealthCheck.too_slow]),
    )
