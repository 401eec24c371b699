"""The conformance suite: what every source and task must keep to, ours and third parties' alike.

``suite.cases`` gives one case for each check and subject. This package itself is empty: the watched child process lives
in it, and what it imports is measured.
"""
