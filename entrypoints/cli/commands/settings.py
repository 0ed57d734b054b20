"""The command line: ``runsink settings``."""

import click

from entrypoints.cli.options import json_option
from entrypoints.cli.setting_options import setting_options


@click.command("settings", params=setting_options())
@click.option("--example", is_flag=True, help="Print a runsink.toml that explains every setting instead.")
@json_option
def settings(*, example: bool, as_json: bool, **options: str | bool | None) -> None:
    """Show the settings in force, and where each is set.

    The options are those of serve, and have the same effect here. Passwords and tokens are not shown. The exit status
    is 2 if serve would not start with these settings.
    """
    if example:
        from entrypoints.cli.settings_example import print_example

        print_example()
        return
    from entrypoints.cli.settings import show_settings

    show_settings(options, as_json=as_json)
