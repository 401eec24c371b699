"""Aggregates over finished cells: versioned pure functions, complete or refused; see docs/aggregates.md."""
