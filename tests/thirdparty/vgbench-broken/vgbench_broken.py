"""A plugin that raises at import, as one with a missing dependency does."""

import a_package_that_nobody_has  # noqa: F401
