"""The command line: words -> one library call -> printed result."""
