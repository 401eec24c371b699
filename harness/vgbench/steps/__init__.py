"""Heavy work, one step a file, reached only by name and only in workers."""
