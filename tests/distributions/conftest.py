"""Collect these tests only where the dependency group ``package`` is installed, as by ``tox -e package``.

They build the distributions and install one, which the other environments need not repeat.
"""

from importlib.util import find_spec

collect_ignore = [] if find_spec("build") and find_spec("check_wheel_contents") else ["test_distributions.py"]
