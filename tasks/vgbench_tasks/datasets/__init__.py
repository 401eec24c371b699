"""Data sets that several protocols test on."""
